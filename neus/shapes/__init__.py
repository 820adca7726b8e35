"""Families of shapes (DeepSDF): samples, auto-decoder, codes fitted to whole and partial observations, experiments."""

__all__ = [
    "autodecoder", "data_folder", "defaults", "depth_views", "exact_views", "experiment_files", "experiments", "families", "fit", "inputs",
    "levenberg", "losses", "measures", "mesh_signs", "mesh_sources", "near_surface", "observations", "placement", "prior",
    "samples", "specs", "splits", "train", "truth",
]  # fmt: skip
