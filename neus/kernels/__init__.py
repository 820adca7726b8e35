"""The hot loops: each operation as readable torch (`reference`) and, where there is one, a faster form of the same."""

__all__ = [
    "adam_rows", "band_fusion", "composite", "cup", "depth_agreement", "dispatch", "empty_starts", "fused_step",
    "hash_encode", "jit", "launch", "logistic", "march", "nearest_triangle", "plane_fit", "raster_depth", "seeds",
    "semi_global", "surface_match", "sweep_cost", "thin_points", "threads", "transfer", "trilinear",
    "zero_distances",
]  # fmt: skip
