"""Geometry from several images: visual hull, plane sweep, fusion, carving, matches."""

__all__ = [
    "depth_fusion", "depth_maps", "epipolar", "initial_shape", "lattice_distances", "matches",
    "photo_carving", "photo_consistency", "plane_sweep", "sparse_points", "stereo_views",
    "visual_hull",
]  # fmt: skip
