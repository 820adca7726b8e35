"""The command line: one file for each verb."""

__all__ = [
    "bench", "check", "classic", "compare", "convert", "demo", "evaluate", "export_web", "lod", "main", "mesh", "options", "prior",
    "prior_fits", "process", "reconstruct", "render", "report", "texture", "train", "view",
]  # fmt: skip
