"""A field to a mesh: lattice, marching cubes, cleaning, colours, files."""

__all__ = [
    "clean", "color", "color_transfer", "cost", "cubes", "extract", "files", "glb", "lattice", "measures", "of_model",
    "simplify", "unseen", "visibility",
]  # fmt: skip
