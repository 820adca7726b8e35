"""Where rays may start, by a lattice of distances."""

__all__ = ["cpu", "reference"]
