"""What a verb does from start to end: process, convert, train, mesh, render, lod, evaluate, demo."""

__all__ = ["convert", "demo", "evaluate", "finish", "jobs", "lod", "measurements", "mesh", "process", "render", "train"]
