"""Opacity of an interval under NeuS's logistic density, in the one form that each of torch, CPU and GPU has of it."""

__all__ = ["cpu", "gpu", "reference"]
