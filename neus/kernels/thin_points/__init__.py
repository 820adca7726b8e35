"""Point sets thinned to a distance."""

__all__ = ["cpu", "reference"]
