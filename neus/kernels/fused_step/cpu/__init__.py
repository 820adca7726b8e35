"""The fused step on a CPU, by numba."""

from neus.kernels.fused_step.cpu.step import distances, render, shade, train_rays, walk

__all__ = ["distances", "render", "shade", "train_rays", "walk"]
