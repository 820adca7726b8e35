"""Levels of detail: a surface distilled into a pyramid of features, traced in real time."""

__all__ = ["field", "lattice", "published"]
