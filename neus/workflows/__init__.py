"""What a verb does from start to end: train, mesh, render, evaluate, demo, shape priors."""

__all__ = [
    "demo", "evaluate", "finish", "jobs", "measurements", "mesh", "prior", "prior_demo", "prior_experiment", "prior_fit", "render", "train",
]  # fmt: skip
