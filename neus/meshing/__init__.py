"""A field to a mesh: lattice, marching cubes, cleaning, colours, files."""

__all__ = ["clean", "color", "cost", "extract", "files", "lattice", "of_model", "simplify"]
