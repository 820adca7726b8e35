"""Point sets thinned to a distance."""
