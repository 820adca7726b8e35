"""Images to scenes: readers of each layout, lenses, region of interest, the built-in scene."""
