"""Geometry from several images: visual hull, plane sweep, fusion, carving, matches."""

__all__ = [
    "depth_fusion", "depth_maps", "drawn_depths", "epipolar", "initial_shape", "lattice_distances", "matches",
    "photo_carving", "photo_consistency", "plane_sweep", "sparse_points", "stereo_views", "surface_points",
    "surface_refinement", "surface_sweep", "visual_hull",
]  # fmt: skip
