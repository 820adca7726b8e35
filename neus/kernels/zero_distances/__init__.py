"""Signed distances on a lattice to where its values change sign."""

__all__ = ["cpu", "reference"]
