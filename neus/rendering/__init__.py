"""Rays and a field to pixels: densities, weights, samplers, views."""

__all__ = [
    "background_intervals", "behind", "density", "fused", "fused_shell", "interval_ends", "memory", "model", "modes", "path_files", "paths",
    "queries", "renderer", "renderer_config", "sampling", "sdf_grid", "shading", "shell", "shell_renderer", "slope",
    "sphere_tracing", "views", "weights",
]  # fmt: skip
