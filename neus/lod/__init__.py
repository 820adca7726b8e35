"""Levels of detail: a surface distilled into a pyramid of features, traced in real time."""

__all__ = ["distill", "field", "file", "lattice", "mesh_distance", "octree", "published", "renderer", "teacher", "walk"]
