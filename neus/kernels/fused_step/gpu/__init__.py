"""The fused step on a GPU, by Triton."""

from neus.kernels.fused_step.gpu.step import distances, render, train_rays

__all__ = ["distances", "render", "train_rays"]
