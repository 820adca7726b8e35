"""Geometry from several images: depth maps, their fusion, sweeps of the surface, visual hull, matches."""

__all__ = [
    "depth_maps", "epipolar", "exposure", "fusion", "initial_shape", "label_choice", "matches", "minimal_surface", "pieces",
    "places", "plain_background", "region_from_matches", "region_from_surface", "rendered_depths", "silhouettes", "sparse_points",
    "stereo_views", "support_plane", "surface_correction", "surface_points", "surface_refinement", "surface_sweep", "visual_hull", "votes",
    "warped",
]  # fmt: skip
