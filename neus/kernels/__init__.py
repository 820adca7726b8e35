"""The hot loops: each operation as readable torch (`reference`) and, where there is one, a faster form of the same."""

__all__ = [
    "adam_rows", "async_copy", "composite", "demo_scene", "dispatch", "fused_step", "guided_sampling", "hash_encode",
    "jit", "launch", "logistic", "nearest_triangle", "raster_depth", "seeds", "skip_empty_space", "thin_points",
    "threads", "trilinear",
]  # fmt: skip
