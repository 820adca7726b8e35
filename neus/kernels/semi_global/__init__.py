"""Semi-global matching: costs of disparities or depths, made smooth along eight directions of the image."""

__all__ = ["cpu", "reference"]
