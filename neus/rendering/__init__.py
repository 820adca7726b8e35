"""Rays and a field to pixels: densities, weights, samplers, views."""

__all__ = [
    "density", "distance_cache", "fused", "fused_shell", "memory", "model", "modes", "path_files", "paths",
    "queries", "renderer", "sampling", "sections", "shading", "shell", "shell_renderer", "slope",
    "sphere_tracing", "views", "weights",
]  # fmt: skip
