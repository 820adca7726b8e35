"""What a verb does from start to end: train, mesh, render, evaluate, texture, demo."""

__all__ = ["demo", "evaluate", "finish", "jobs", "measurements", "mesh", "render", "texture", "train"]
