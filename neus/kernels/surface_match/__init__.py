"""Costs of moving a surface along the rays of an image: how well the neighbours' images agree at each offset."""

__all__ = ["cpu", "reference"]
