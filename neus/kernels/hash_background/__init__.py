"""Opacities and colours of a hash background along rays, and their gradients; the specification is `rendering.behind.background_samples`."""

__all__ = ["arguments", "cpu"]
