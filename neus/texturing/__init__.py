"""A mesh and images to a textured model: charts, atlas, view selection, baking, fill, files."""

__all__ = [
    "atlas", "bake", "box_charts", "chart_worker", "charts", "drawn", "files", "fill", "levels", "looks", "surface", "texels",
    "texture", "textured_glb", "textured_mesh", "textured_obj", "textured_usdz", "view_weights",
]  # fmt: skip
