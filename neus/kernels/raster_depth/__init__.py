"""The depth of triangles in an image."""
