"""Images and masks of a scene to files: encoded, or the very files that the scene was read from."""

import os
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from neus.scenes.scene import Scene
from neus.scenes.view_files import unchanged_file

# Where a format is lossy, names ending in .jpg ask for it; masks are always PNG.
JPEG_QUALITY = 98
PNG, JPEGS = ".png", (".jpg", ".jpeg")


class ImageWriter:
    """Writes the views of one scene.

    Args:
        scene: whose images and masks are written.
        keep_files: images whose file shows them as they are become hard links to it, or copies where links cannot be made; all others
            are encoded as PNG, or as JPEG of quality 98 if their names end so.
        numbered: names are 000.png, 001.png, ... and a file is kept only if it is a PNG whose alpha channel is not the mask.

    Attributes:
        names: V names, within a folder of images.
    """

    def __init__(self, scene: Scene, keep_files: bool = False, numbered: bool = False) -> None:
        self.scene = scene
        sources = [unchanged_file(scene, view) if keep_files else None for view in range(len(scene))]
        if numbered:
            is_cut_out = scene.background is not None
            sources = [s if s is not None and not is_cut_out and s.suffix.lower() == PNG else None for s in sources]
        self.sources = sources
        numbers = [f"{view:03d}.png" for view in range(len(scene))]
        self.names = numbers if numbered else _file_names(scene, sources) if keep_files else _encodable_names(scene)

    @property
    def n_kept(self) -> int:
        """How many images are the files they were read from."""
        return sum(source is not None for source in self.sources)

    def image(self, view: int, folder: Path) -> None:
        """Writes the image of a view to its name in a folder."""
        path, source = folder / self.names[view], self.sources[view]
        if source is None:
            write_image(path, self.scene.images[view])
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(source, path)

    def has_mask_file(self, view: int) -> bool:
        """Whether the view has a mask that is not the alpha channel of a file that is kept."""
        is_in_file = self.scene.alphas is not None and self.sources[view] is not None
        return self.scene.masks is not None and not is_in_file

    def mask(self, view: int, path: Path) -> None:
        """Writes the mask of a view."""
        write_image(path, self.scene.masks[view])


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Writes (H, W, 3) RGB, (H, W, 4) RGBA uint8, or (H, W) bool as black and white; missing folders are made.

    Raises:
        OSError: no space, or no such format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    else:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix.lower() in JPEGS else []
    if not cv2.imwrite(str(path), pixels, options):
        raise OSError(f"{path.name} cannot be written: the disk is full, or the format is unknown")


def _link_or_copy(source: Path, path: Path) -> None:
    # A link to a file that may not be written could not be changed at its new place, either.
    if isinstance(source, Path) and os.access(source, os.W_OK):
        with suppress(OSError):  # another disk, or a system without links
            os.link(source.resolve(), path)
            return
    with source.open("rb") as file, open(path, "wb") as copy:
        shutil.copyfileobj(file, copy)


def _file_names(scene: Scene, sources: list[Path | None]) -> list[str]:
    """The views' names with the endings of what is written under them, or numbers where they cannot be files within a folder."""
    names = []
    for name, source in zip(scene.names, sources, strict=True):
        path = PurePosixPath(name)
        ending = source.suffix if source is not None else path.suffix if path.suffix.lower() in (PNG, *JPEGS) else PNG
        names.append(str(path.with_suffix(ending)) if path.name and path.suffix else f"{name}{ending}")
    numbers = [f"{view:03d}{PurePosixPath(name).suffix}" for view, name in enumerate(names)]
    return names if _are_usable(names) else numbers


def _encodable_names(scene: Scene) -> list[str]:
    """The views' names if all can be files within a folder that OpenCV can write, else numbers."""
    is_usable = _are_usable(scene.names) and all(cv2.haveImageWriter(name) for name in scene.names)
    return list(scene.names) if is_usable else [f"{view:03d}.png" for view in range(len(scene))]


def _are_usable(names: list[str]) -> bool:
    paths = [PurePosixPath(name) for name in names]
    return len(set(paths)) == len(paths) and all(
        path.name and not path.is_absolute() and ".." not in path.parts for path in paths
    )
