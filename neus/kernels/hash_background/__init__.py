"""Opacities and colours of a hash background along rays, and their gradients.

The specification is `rendering.behind.background_samples` of a `fields.hash_background.HashBackground`.
"""

__all__ = ["arguments", "cpu", "gpu", "tiles"]
