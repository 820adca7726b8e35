"""Iterations that minimise weighted total variation plus a linear cost over a lattice."""

__all__ = ["cpu", "reference"]
