"""Plain tensor mathematics: poses, cameras, rays, intervals. No networks, no files."""
