"""Geometry from several images: visual hull, plane sweep, fusion, carving, matches."""

__all__ = [
    "depth_fusion", "epipolar", "fusion", "initial_shape", "lattice_distances", "matches",
    "minimal_surface", "photo_carving", "photo_consistency", "pieces", "plain_background", "plane_sweep",
    "silhouettes", "sparse_points", "stereo_views", "visual_hull", "votes",
]  # fmt: skip
