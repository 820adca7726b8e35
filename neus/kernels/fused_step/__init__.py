"""A whole training step of a hash surface, tile by tile; `neus/training/step.py` says the same in torch and is its specification."""

__all__ = [
    "arguments", "blocks", "color", "cpu", "curvature", "gpu", "gpu_color", "gpu_lookups", "gpu_rays",
    "gpu_surface", "lookups", "products", "rays", "surface", "tile", "tiles", "walk",
]  # fmt: skip
