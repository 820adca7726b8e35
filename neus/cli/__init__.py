"""The command line: one file for each verb."""

__all__ = [
    "bench", "check", "classic", "compare", "demo", "evaluate", "main", "mesh", "options", "prior", "render", "report",
    "train",
]  # fmt: skip
