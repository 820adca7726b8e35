"""The hot loops: each operation as readable torch (`reference`) and, where there is one, a faster form of the same."""

__all__ = [
    "adam_rows", "async_copy", "band_fusion", "composite", "depth_agreement", "depth_votes", "dispatch",
    "fused_step", "guided_sampling", "hash_background", "hash_encode", "jit", "launch", "lod_walk", "logistic", "nearest_triangle",
    "plane_fit", "raster_depth", "seeds", "semi_global", "skip_empty_space", "solids", "surface_match", "sweep_cost", "texel_blend",
    "thin_points", "threads", "total_variation", "trilinear", "winding_number", "zero_distances",
]  # fmt: skip
