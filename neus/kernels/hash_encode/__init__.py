"""Multiresolution hash encoding (Mueller et al. 2022, sec. 3) and its Jacobian."""

__all__ = ["cpu", "four_features", "gpu", "hash_lookup", "layout", "reference"]
