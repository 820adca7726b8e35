"""The command line: one file for each verb."""

__all__ = [
    "bench", "check", "classic", "compare", "demo", "evaluate", "main", "mesh", "options", "render", "report",
    "texture", "train",
]  # fmt: skip
