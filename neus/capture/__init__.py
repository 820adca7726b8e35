"""Images or a video of an unknown scene to a posed scene folder, by structure from motion on the CPU.

Nothing else knows of it: what it writes is a COLMAP scene that `scenes` reads, with `world.json` and `capture.json` beside.
"""

__all__ = [
    "colmap_step", "coverage", "database", "exif", "finish", "frames", "gather", "heic", "intake", "ladder", "markers", "masks",
    "models", "reasons", "scene_folder", "sources", "stages", "steps", "upright", "video",
]  # fmt: skip
