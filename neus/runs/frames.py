"""Frames of a video in a folder, with a record of how they were made, so that an interrupted run resumes."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neus.errors import InputError
from neus.files import write_json
from neus.geometry.cameras import Camera
from neus.rendering.model import Model
from neus.scenes.images import read_rgb, write_image

RECORD = ".frames.json"


@dataclass(frozen=True)
class FrameFolder:
    """Numbered images 0000.png, 0001.png ... in a folder.

    Every image is written to a temporary name and renamed, so an image that is there is whole. It is kept if the
    folder's record says the same as `settings`; otherwise it was made by another model, path or size, and goes.

    Attributes:
        path: the folder; made when the first frame is written.
        settings: everything that the images depend on, as JSON can hold it, such as `settings_of`.
        n_frames: of the video.
    """

    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    n_frames: int = 0

    def missing(self) -> list[int]:
        """Numbers of the frames still to be rendered; removes those of other settings and notes the present ones.

        Raises:
            InputError: the folder cannot be written, or holds images of these names that are not known to be frames.
        """
        record = {"n_frames": self.n_frames, "settings": self.settings}
        found = self._record()
        if found != record:
            n_ours = int(found.get("n_frames", self.n_frames if (self.path / RECORD).is_file() else 0))
            foreign = [n for n in range(n_ours, self.n_frames) if self.frame(n).exists()]
            if foreign:
                raise InputError(
                    f"{self.path}: holds {self.frame(foreign[0]).name}, which no earlier video of this folder wrote; "
                    "expected a new or empty folder. Choose another one, or move the image away."
                )
            for number in range(n_ours):
                self.frame(number).unlink(missing_ok=True)
            write_json(self.path / RECORD, record)
            return list(range(self.n_frames))
        return [number for number in range(self.n_frames) if not self.frame(number).is_file()]

    def frame(self, number: int) -> Path:
        """The path of one frame."""
        return self.path / f"{number:04d}.png"

    def write(self, number: int, image: np.ndarray) -> None:
        """Writes one frame (H, W, 3) uint8 RGB, whole or not at all."""
        write_image(self.frame(number), image)

    def read(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of one frame."""
        return read_rgb(self.frame(number))

    def remove(self) -> None:
        """Removes the frames and the record, and the folder unless it holds anything else."""
        for number in range(self.n_frames):
            self.frame(number).unlink(missing_ok=True)
        (self.path / RECORD).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def _record(self) -> dict[str, Any]:
        try:
            content = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def settings_of(model: Model, cameras: list[Camera], what: list[str], **others: str) -> dict[str, Any]:
    """What images of a path depend on, short: fingerprints of the model and of the cameras, and names.

    Args:
        model: its parameters and buffers, how it is built, and the colour behind it.
        cameras: one for each frame.
        what: names of the images.
        others: whatever else changes the images.
    """
    of_model, of_path = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    of_model.update(repr((model.config, model.background)).encode())
    for name, tensor in model.state_dict().items():
        of_model.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    for camera in cameras:
        of_path.update(f"{camera.width} {camera.height}".encode())
        of_path.update(camera.intrinsics.numpy().tobytes() + camera.camera_to_scene.numpy().tobytes())
    return {"model": of_model.hexdigest(), "path": of_path.hexdigest(), "what": what, **others}
