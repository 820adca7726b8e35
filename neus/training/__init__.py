"""Losses, schedules, the training step and the loop around it."""

__all__ = [
    "budget", "checkpoint", "config", "cuda_graphs", "first_shape", "fused", "hooks", "losses", "metrics",
    "optimizer", "patches", "pixels", "schedules", "step", "strategies", "trainer", "warm_up",
]  # fmt: skip
