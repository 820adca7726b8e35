"""Opacities and values of the intervals of rays to their weights and weighted sums."""

__all__ = ["cpu", "gpu", "reference"]
