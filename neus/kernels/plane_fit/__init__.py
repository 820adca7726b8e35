"""Planes fitted to the values around each pixel of an image."""

__all__ = ["cpu", "reference"]
