"""Distances to the built-in object, and where rays first meet it."""

__all__ = ["cpu", "reference"]
