"""Numbers: how far a mesh is from the true surface, how far an image from the photograph."""
