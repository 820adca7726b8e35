"""The depth of triangles in an image."""

__all__ = ["cpu", "reference"]
