"""The foremost triangle at each pixel of an image."""

__all__ = ["cpu", "reference"]
