"""The command line: one file for each verb."""

__all__ = [
    "bench", "check", "classic", "compare", "convert", "demo", "evaluate", "lod", "main", "mesh", "options", "process", "render", "report",
    "train",
]  # fmt: skip
