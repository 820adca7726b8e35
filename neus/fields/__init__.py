"""Functions of space: signed distance, colour, background, sharpness."""
