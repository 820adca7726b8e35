"""The fused step on a CPU, by numba."""

from neus.kernels.fused_step.cpu.step import distances, render, shade, trace, train_rays

__all__ = ["distances", "render", "shade", "trace", "train_rays"]
