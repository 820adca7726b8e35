"""Images to scenes: readers of each layout, lenses, region of interest, the built-in scene."""

__all__ = [
    "blendedmvs", "blender", "colmap", "idr", "images", "lenses", "pfm", "readers", "region",
    "region_from_masks", "scene", "synthetic",
]  # fmt: skip
