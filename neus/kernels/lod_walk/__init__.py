"""Distances, gradients and ray hits of levels of detail."""

__all__ = ["arguments", "cpu"]
