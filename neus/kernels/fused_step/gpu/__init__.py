"""The fused step on a GPU, by Triton."""

__all__ = ["color", "lookups", "rays", "step", "surface"]
