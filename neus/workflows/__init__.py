"""What a verb does from start to end: process, train, mesh, render, evaluate, demo."""

__all__ = ["demo", "evaluate", "finish", "jobs", "measurements", "mesh", "process", "render", "train"]
