"""Numbers: how far a mesh is from the true surface, how far an image from the image."""

__all__ = ["alignment", "dense", "depth", "dtu", "exact", "files", "images", "of_mesh", "sampling", "surface"]
