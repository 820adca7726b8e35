"""Functions of space: signed distance, colour, background, sharpness."""

__all__ = [
    "activations", "background", "base", "color_network", "distance_correction", "encoding", "geometric_init", "hash_background",
    "hash_grid", "hash_sdf", "latent_sdf", "mlp", "precision", "sdf_network", "sharpness",
]  # fmt: skip
