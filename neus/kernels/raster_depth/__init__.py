"""The foremost triangle at each pixel of an image."""
