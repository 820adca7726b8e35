"""What a verb does from start to end: reconstruct, process, convert, train, mesh, texture, render, evaluate, demo."""

__all__ = [
    "convert", "demo", "evaluate", "finish", "jobs", "measurements", "mesh", "process", "reconstruct", "render", "texture", "train",
]  # fmt: skip
