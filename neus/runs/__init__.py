"""A run on disk: config, build, load, session, train, time plan."""

__all__ = [
    "build", "config", "console", "frames", "load", "presets", "renamed_keys", "run", "run_folder", "session",
    "time_plan", "train", "typed_sections", "videos", "view_folder",
]  # fmt: skip
