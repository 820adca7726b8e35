"""What a verb does from start to end: reconstruct, process, convert, train, mesh, texture, render, evaluate, pages, view, demo, priors."""

__all__ = [
    "convert", "demo", "evaluate", "export_web", "finish", "jobs", "measurements", "mesh", "prior", "prior_demo",
    "prior_experiment", "prior_fit", "process", "reconstruct", "render", "texture", "train", "view",
]  # fmt: skip
