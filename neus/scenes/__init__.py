"""Images to scenes: readers and writers of each layout, lenses, region of interest, the built-in scene."""

__all__ = [
    "arrays", "blendedmvs", "blender", "colmap", "colmap_model", "colmap_text", "degradations", "downscale", "find_files",
    "foreign", "headers", "idr", "image_writer", "images", "intrinsics", "lens_models", "lenses", "masks", "memory", "pfm",
    "pixel_range", "pixel_store", "point_files", "posed_images", "posed_scene", "readers", "region", "region_from_masks",
    "region_from_points", "scene", "scene_checks", "selection", "synthetic", "synthetic_kinds", "synthetic_light", "synthetic_paint",
    "synthetic_shapes", "tracked_points", "transforms_file", "view_files", "view_order", "writers",
]  # fmt: skip
