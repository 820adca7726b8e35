"""Image files by the names that cameras give them: paths of another machine, other cases, other endings."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from neus.errors import InputError, warn_of
from neus.scenes.images import IMAGE_SUFFIXES

# More than one missing image in so many is another folder, not a few files that were deleted.
MAX_MISSING_FRACTION = 1 / 3
# Folders beside the images that hold images of the same names.
OTHER_FOLDERS = ("mask", "depth", "normal", "semantic", "sparse", "dynamic_mask")


class ImageFolder:
    """The images below a folder; the folder is listed only once a name is not found as it is written.

    Args:
        folder: where the names begin.
        passed_over: first letters of folders and files that hold no such images.
    """

    def __init__(self, folder: Path, passed_over: tuple[str, ...] = OTHER_FOLDERS) -> None:
        self.folder, self._passed_over = Path(folder), passed_over
        self._listed: tuple[dict[str, list[Path]], ...] | None = None

    def find(self, name: str) -> Path | None:
        """The file that a camera calls `name`, or None.

        In this order: the path as written (without an ending: any image ending), its last parts below the folder, the same
        without regard to case, with another image ending, and the only file of that name anywhere below the folder.

        Raises:
            InputError: several files fit equally well.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        if not wanted.name:
            return None
        for tail in [wanted, *_tails(wanted)]:
            if (file := _with_or_without_ending(self.folder / tail)) is not None:
                return file
        return self._similar(PurePosixPath(str(wanted).casefold()), name)

    def _similar(self, wanted: PurePosixPath, name: str) -> Path | None:
        if self._listed is None:
            self._listed = _listed(self.folder, self._passed_over)
        by_path, by_stem_path, by_name, by_stem = self._listed
        stem = without_ending(wanted)
        fitting = [by_path.get(str(tail)) for tail in _tails(wanted)] + [
            by_stem_path.get(str(tail)) for tail in _tails(stem)
        ]
        found = next((files for files in [*fitting, by_name.get(wanted.name), by_stem.get(stem.name)] if files), [])
        if len(found) > 1:
            listed = ", ".join(f.relative_to(self.folder).as_posix() for f in found[:4])
            raise InputError(
                f"{self.folder}: {len(found)} files could be the image {name} ({listed}); rename the right one to that path."
            )
        return found[0] if found else None


def find_images(folder: Path, names: Sequence[str], source: Path) -> list[Path | None]:
    """The file of each named image, None where there is none; what was matched and what is missing is warned of once.

    Args:
        folder: where the names begin.
        names: V paths, as the cameras' file has them.
        source: that file, for messages.

    Raises:
        InputError: a name fits several files, two names fit the same file, or more than a third of the images are missing.

    Warns:
        InputWarning: images taken by another name, and images that are missing, each with the first few names.
    """
    index = ImageFolder(folder)
    files = [index.find(name) for name in names]
    other = {n: f for n, f in zip(names, files, strict=True) if f is not None and not _is_as_written(folder, n, f)}
    _check_distinct(folder, names, files, other)
    if other:
        pairs = [f"{name} -> {file.relative_to(folder).as_posix()}" for name, file in other.items()]
        warn_of(f"{source}: {len(pairs)} images are found by another name than the one given", pairs)
    missing = [name for name, file in zip(names, files, strict=True) if file is None]
    if len(missing) > MAX_MISSING_FRACTION * len(names):
        raise InputError(
            f"{source}: {len(missing)} of {len(names)} images are not in {folder}, for instance no such image {missing[0]}; "
            "restore the images or the folder they were in."
        )
    if missing:
        warn_of(f"{source}: {len(missing)} of {len(names)} images do not exist, so their views are left out", missing)
    return files


def _check_distinct(folder: Path, names: Sequence[str], files: list[Path | None], other: dict[str, Path]) -> None:
    owners: dict[Path, str] = {}
    for name, file in zip(names, files, strict=True):
        if file is not None and owners.setdefault(file, name) != name and (name in other or owners[file] in other):
            raise InputError(
                f"{folder}: the images {owners[file]} and {name} would both be {file.relative_to(folder).as_posix()}; "
                "put the images where their names say."
            )


def _is_as_written(folder: Path, name: str, file: Path) -> bool:
    """Whether the path is the one given, except for the slashes and a left-out ending."""
    written = os.path.normpath(folder / name.replace("\\", "/"))
    return os.path.normpath(file) in (written, written + file.suffix)


def _tails(path: PurePosixPath) -> list[PurePosixPath]:
    """The path, then its last parts, ever fewer: what may lie below the folder when the path is of another machine."""
    parts = [part for part in path.parts if part != "/" and not part.endswith(":")]
    return [PurePosixPath(*parts[i:]) for i in range(len(parts)) if parts[i] != ".."] if parts else []


def without_ending(path: PurePosixPath) -> PurePosixPath:
    """The path without an image ending; other dots are part of the name.

    >>> str(without_ending(PurePosixPath("a/v1.5.JPG"))), str(without_ending(PurePosixPath("v1.5")))
    ('a/v1.5', 'v1.5')
    """
    return path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path


def _with_or_without_ending(file: Path) -> Path | None:
    if os.path.isfile(file):  # unlike `Path.is_file` it takes names that no file system has
        return file
    # NeRF's files leave the ending out; "r_0" must not find "r_0_depth.png".
    endings = sorted(IMAGE_SUFFIXES, key=lambda suffix: (suffix != ".png", suffix))
    return next((f for ending in endings if os.path.isfile(f := file.with_name(file.name + ending))), None)


def _listed(folder: Path, passed_over: tuple[str, ...]) -> tuple[dict[str, list[Path]], ...]:
    """The images below a folder by path, path without ending, name, and name without ending, all without regard to case."""
    tables: tuple[dict[str, list[Path]], ...] = ({}, {}, {}, {})
    for file in sorted(folder.rglob("*")):
        path = PurePosixPath(file.relative_to(folder).as_posix().casefold())
        if path.suffix not in IMAGE_SUFFIXES or path.name[0] == "." or str(path).startswith(passed_over):
            continue
        stem = without_ending(path)
        for table, key in zip(tables, (str(path), str(stem), path.name, stem.name), strict=True):
            table.setdefault(key, []).append(file)
    return tables
