"""Whether two depth maps show the same surface."""

__all__ = ["cpu", "reference"]
