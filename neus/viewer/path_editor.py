"""Viewpoints collected for a video, and the camera path through them that `neus render --path` reads."""

import tempfile
from pathlib import Path

from torch import Tensor

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.rendering.path_files import write_camera_path
from neus.rendering.paths import through

# Fewer give no path, more no video that anyone watches.
MIN_VIEWPOINTS, MAX_VIEWPOINTS = 2, 500


class PathEditor:
    """The viewpoints of one viewer, in the scene frame."""

    def __init__(self, scene_to_world: Tensor) -> None:
        self.cameras: list[Camera] = []
        self._scene_to_world = scene_to_world

    def add(self, camera: Camera) -> None:
        """Appends a viewpoint; all images have the size of the first."""
        if len(self.cameras) >= MAX_VIEWPOINTS:
            raise InputError(f"camera path: {MAX_VIEWPOINTS} viewpoints already; export it, or remove some.")
        self.cameras.append(camera.resized(self.cameras[0].width, self.cameras[0].height) if self.cameras else camera)

    def remove_last(self) -> None:
        """Takes back the last viewpoint, if there is one."""
        if self.cameras:
            self.cameras.pop()

    def file_content(self, n_frames: int) -> bytes:
        """The camera path file: `n_frames` cameras through all viewpoints, world units.

        Raises:
            InputError: fewer than two viewpoints.
        """
        if len(self.cameras) < MIN_VIEWPOINTS:
            raise InputError(f"camera path: {len(self.cameras)} viewpoints, expected two or more; add this one and others.")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "path.json"
            write_camera_path(path, through(self.cameras, n_frames), self._scene_to_world)
            return path.read_bytes()
