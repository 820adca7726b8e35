"""Distances to bodies of simple solids, and where rays first meet them."""

__all__ = ["cpu", "reference"]
