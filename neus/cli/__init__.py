"""The command line: one file for each verb."""

__all__ = [
    "bench", "check", "classic", "compare", "convert", "demo", "evaluate", "main", "mesh", "options", "process",
    "reconstruct", "render", "report", "texture", "train",
]  # fmt: skip
