"""Reading a lattice of values over [-1, 1]^3 between its vertices: what marching, anchoring and grids have in common."""

__all__ = ["cpu", "gpu", "reference"]
