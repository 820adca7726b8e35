"""The command line: one file for each verb."""

__all__ = [
    "bench", "check", "classic", "compare", "demo", "evaluate", "main", "mesh", "options", "prior", "prior_fits", "render",
    "report", "train",
]  # fmt: skip
