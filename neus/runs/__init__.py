"""A run on disk: config, build, load, session, train, time plan."""

__all__ = [
    "build", "config", "console", "films", "frames", "load", "presets", "run", "run_folder", "session",
    "time_plan", "train",
]  # fmt: skip
