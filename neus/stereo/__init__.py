"""Geometry from several images: depth maps, their fusion, sweeps of the surface, visual hull, matches."""

__all__ = [
    "depth_fusion", "depth_maps", "drawn_depths", "epipolar", "fusion", "initial_shape", "lattice_distances",
    "matches", "minimal_surface", "photo_carving", "photo_consistency", "pieces", "plain_background", "plane_sweep",
    "region_from_matches", "silhouettes", "sparse_points", "stereo_views", "surface_points", "surface_refinement", "surface_sweep",
    "visual_hull", "votes",
]  # fmt: skip
