"""Images to scenes: readers and writers of each layout, lenses, region of interest, the built-in scene."""

__all__ = [
    "arrays", "blendedmvs", "blender", "capture_file", "colmap", "colmap_model", "colmap_text", "degradations", "downscale",
    "find_files", "headers",
    "idr", "images", "intrinsics", "lens_models", "lenses", "masks", "memory", "pfm", "pixel_range", "pixel_store",
    "readers", "region", "region_from_masks", "region_from_points", "scene", "selection", "synthetic",
    "synthetic_kinds", "synthetic_light", "synthetic_paint", "synthetic_shapes",
    "transforms_file", "view_files", "view_order", "writers",
]  # fmt: skip
