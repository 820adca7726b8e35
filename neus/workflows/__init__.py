"""What a verb does from start to end, one file for each: plain arguments in, a result out."""

__all__ = [
    "convert", "demo", "evaluate", "export_web", "finish", "jobs", "lod", "measurements", "mesh", "prior", "prior_demo",
    "prior_experiment", "prior_fit", "process", "reconstruct", "render", "texture", "train", "view",
]  # fmt: skip
