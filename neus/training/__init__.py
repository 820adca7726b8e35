"""Losses, schedules, the training step and the loop around it."""

__all__ = [
    "budget", "checkpoint", "config", "first_shape", "fused", "hooks", "losses", "metrics", "optimizer",
    "patches", "pixels", "recorded", "recorded_steps", "schedules", "step", "steps", "trainer", "warm_up",
]  # fmt: skip
