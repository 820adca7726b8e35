"""Where along rays to look, by a walk through a coarse grid of signed distances."""

__all__ = ["cpu", "gpu", "reference"]
