"""Intervals along rays, guided by sphere tracing through a coarse grid of signed distances."""

__all__ = ["cpu", "gpu", "reference"]
