"""What a verb does from start to end: convert, train, mesh, render, evaluate, demo."""

__all__ = ["convert", "demo", "evaluate", "finish", "jobs", "measurements", "mesh", "render", "train"]
