"""What a verb does from start to end: train, mesh, render, evaluate, demo."""
