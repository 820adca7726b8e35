"""What a verb does from start to end: reconstruct, process, convert, train, mesh, texture, render, evaluate, demo, shape priors."""

__all__ = [
    "convert", "demo", "evaluate", "finish", "jobs", "measurements", "mesh", "prior", "prior_demo", "prior_experiment", "prior_fit",
    "process", "reconstruct", "render", "texture", "train",
]  # fmt: skip
