"""What a verb does from start to end: process, convert, train, mesh, render, evaluate, export a page, demo."""

__all__ = ["convert", "demo", "evaluate", "export_web", "finish", "jobs", "measurements", "mesh", "process", "render", "train"]
