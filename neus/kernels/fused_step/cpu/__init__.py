"""The fused step on a CPU, by numba."""

__all__ = [
    "blocks", "color", "curvature", "passes", "products", "rays", "step", "surface", "tables", "tile",
    "walk",
]  # fmt: skip
