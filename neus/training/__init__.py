"""Losses, schedules, the training step and the loop around it."""

__all__ = [
    "background_hook", "budget", "checkpoint", "common_exposure", "config", "cuda_graphs", "final_sweep", "finite", "fused",
    "guided_training", "hierarchical_training", "hooks", "initial_surface", "losses", "metrics", "optimizer", "patches", "pixels",
    "schedules", "shape_fit", "step", "strategies", "surface_teacher", "trainer", "warm_up",
]  # fmt: skip
