"""Plain tensor mathematics: poses, cameras, rays, intervals. No networks, no files."""

__all__ = ["bodies", "cameras", "contraction", "cup", "intervals", "poses", "rays", "rigid", "shapes", "similarity", "solids"]
