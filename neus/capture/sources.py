"""What is given to be posed: the image files of a folder and its subfolders, or one video."""

import os
from dataclasses import dataclass
from pathlib import Path

from neus.errors import InputError, warn_of
from neus.scenes.images import IMAGE_SUFFIXES, natural_order

# Of phones: decoded by an optional package (`heic`).
HEIC_SUFFIXES = {".heic", ".heif"}
# Formats of a whole scene's brightness, or of animations: none of them is what a camera writes for a shot.
_NO_CAPTURE = {".exr", ".gif", ".pgm", ".ppm"}
CAPTURE_SUFFIXES = (IMAGE_SUFFIXES | HEIC_SUFFIXES) - _NO_CAPTURE
VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".3gp", ".mpg", ".mpeg", ".wmv", ".insv"}
RAW_SUFFIXES = {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"}


@dataclass(frozen=True)
class Source:
    """What poses are to be found for.

    Attributes:
        root: the deepest folder that holds all images, or that of the video.
        files: image files in natural order of their paths below `root`; empty for a video.
        video: the video, or None.
    """

    root: Path
    files: tuple[Path, ...] = ()
    video: Path | None = None


class DamagedImage(Exception):
    """An image that cannot be used; the message says why."""


def find_source(path: Path) -> Source:
    """The images below a folder, whatever the case of their endings, or a video: the file itself or the only one in a folder.

    Raises:
        InputError: nothing there, a file of another kind, raw files only, or several videos.

    Warns:
        InputWarning: raw files or videos beside images are passed over.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            raise InputError(f"{path}: expected a folder of images, or a video ({_listed(VIDEO_SUFFIXES)}).")
        return Source(path.parent, video=path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder or video; expected a folder of images, or a video file.")
    visible = [file for file in path.rglob("*") if _is_visible(file, path) and file.is_file()]
    visible.sort(key=lambda file: natural_order(file.relative_to(path)))
    images, videos, raws = (
        [file for file in visible if file.suffix.lower() in suffixes]
        for suffixes in (CAPTURE_SUFFIXES, VIDEO_SUFFIXES, RAW_SUFFIXES)
    )
    if not images and len(videos) == 1:
        return Source(videos[0].parent, video=videos[0])
    if not images:
        raise InputError(f"{path}: {_what_else(videos, raws)}; expected images ({_listed(CAPTURE_SUFFIXES)}) or a video.")
    for others, kind in ((videos, "videos"), (raws, "raw files")):
        if others:
            warn_of(f"{path}: {len(others)} {kind} beside {len(images)} images are passed over", [f.name for f in others])
    # Names begin below the folders that all images share.
    return Source(Path(os.path.commonpath([file.parent for file in images])), tuple(images))


def _is_visible(file: Path, root: Path) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in file.relative_to(root).parts)


def _what_else(videos: list[Path], raws: list[Path]) -> str:
    if videos:
        return f"{len(videos)} videos and no images in it, so name one of the videos ({videos[0].name}, ...)"
    if raws:
        return f"{len(raws)} raw files ({raws[0].name}, ...), which are not read: export them as JPEG at full size"
    return "no images in it or its subfolders"


def _listed(suffixes: set[str]) -> str:
    return ", ".join(sorted(suffix[1:] for suffix in suffixes))
