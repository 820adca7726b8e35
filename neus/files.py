"""Files that are either whole or not there (written beside their final name, then renamed), text in any Unicode encoding, and JSON
that any reader accepts."""

import codecs
import functools
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from neus.errors import InputError

# Editors on Windows put such a mark before the text; the longer ones first, since one begins like another.
_UNICODE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, suggestion: str = "copy or export the file again") -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32 with one; lines end in a line feed.

    Args:
        path: a text file.
        suggestion: what to do if it cannot be read; ends the message.

    Raises:
        InputError: it cannot be read, or is in no such encoding.

    >>> import tempfile
    >>> note = Path(tempfile.mkdtemp()) / "note.txt"
    >>> _ = note.write_bytes("one\\r\\ntwo".encode("utf-16"))
    >>> read_text(note)
    'one\\ntwo'
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {suggestion}.") from error
    encoding = next((name for mark, name in _UNICODE_MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not text in {encoding.removesuffix('-sig').upper()} (byte {error.start} is {data[error.start]:#04x}); "
            f"save it as UTF-8, or {suggestion}."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


try:
    import fcntl
except ImportError:  # Windows has no such locks: what killed processes leave stays there
    fcntl = None

# The name of a partial file: a dot, the target's stem, a token of its own, `.part`, the target's suffix.
_PARTIAL = re.compile(r"\..*\.[0-9a-f]{8}\.part(\.[^.]*)?")
# The folders of an absolute path: within quotes, and without spaces.
_ABSOLUTE = (
    re.compile(r"""(?<=['"])([A-Za-z]:)?[/\\][^'"\n]*[/\\](?=[^/\\'"\n]+['"])"""),
    re.compile(r"""(?<![\w./\\~<-])([A-Za-z]:)?[/\\]([^\s/\\'"=,;:()<>]+[/\\])+(?=[^\s/\\])"""),
)
# A partial file younger than this may belong to a process that has not locked it yet; seconds.
_YOUNG = 2.0


def check_can_write(path: Path) -> None:
    """InputError if `path` cannot be written, said before hours of work rather than after; nothing is left behind."""
    path = Path(path)
    made = [folder for folder in path.parents if not folder.exists()]
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        for folder in made:
            folder.rmdir()
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextmanager
def written_whole(path: Path, is_folder: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix, that takes its name when the block ends without an error.

    Data reach the disk before the name does, so that a power cut leaves the old file or the new one. Partial files
    that killed processes left in the folder are removed; those of living processes are locked and stay.

    Args:
        path: what is written; missing folders are made.
        is_folder: the temporary path is an empty folder; a folder at `path` must be empty.

    Raises:
        InputError: the folder cannot be made or written to, or the disk is full; nothing is left behind then.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with written_whole(target) as beside:
    ...     _ = beside.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    lock = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent.resolve())
        beside.mkdir() if is_folder else beside.touch()
        lock = _locked(beside)
        yield beside
        for file in filter(Path.is_file, beside.rglob("*")) if is_folder else [beside]:
            _flush(file, os.O_RDWR)
        if is_folder and path.is_dir():
            path.rmdir()  # not every system renames onto an empty folder
        os.replace(beside, path)
        with suppress(OSError):  # not every system opens folders
            _flush(path.parent, os.O_RDONLY)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if lock is not None:
            os.close(lock)
        _remove(beside)


def json_text(content: Any, indent: int | None = None, ascii_only: bool = True) -> str:
    """JSON by the standard, which knows no infinity and no NaN: they become null; other letters are escaped by default.

    >>> json_text({"psnr": math.inf, "n": [1, 2.5]})
    '{"psnr": null, "n": [1, 2.5]}'
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False, ensure_ascii=ascii_only)


def write_json(path: Path, content: Any) -> None:
    """Writes `json_text`, indented, whole or not at all; raises as `written_whole`."""
    with written_whole(path) as beside:
        beside.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")


def npz_header(archive: np.lib.npyio.NpzFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array in an opened npz file, read before the array is: a small file can hold gigabytes of zeros.

    Raises:
        ValueError: no array of numpy's format 1 or 2; OSError or zipfile.BadZipFile: a damaged file.
    """
    member = f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name
    with archive.zip.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} has a header of version {version}, expected 1 or 2")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def without_folders(text: str, *known: Path | str) -> str:
    """Text for other eyes: absolute paths are cut to their last names.

    Args:
        text: to be shown.
        known: paths that it may hold, also such as cannot be distinguished from the words around them.

    >>> without_folders("neus train --data /home/me/dtu/scan65 --run runs/a --conf='/home/me/my confs/a.conf'")
    "neus train --data scan65 --run runs/a --conf='a.conf'"
    """
    for folder in sorted({str(Path(path).parent) for path in known}, key=len, reverse=True):
        if os.path.isabs(folder) and folder != os.sep:
            text = text.replace(folder + os.sep, "")
    for pattern in _ABSOLUTE:
        text = pattern.sub("", text)
    return text


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content


@functools.cache
def _remove_leftovers(folder: Path) -> None:
    """Removes partial files that no living process holds; once in each folder, since a listing takes time."""
    for partial in folder.iterdir() if fcntl else ():
        if not _PARTIAL.fullmatch(partial.name):
            continue
        with suppress(OSError):
            lock = _locked(partial) if time.time() - partial.stat().st_mtime > _YOUNG else None
            if lock is not None:
                _remove(partial)
                os.close(lock)


def _locked(path: Path) -> int | None:
    """A descriptor that holds a lock on a file or folder until it is closed, or its process ends; None if that fails."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by another process, or a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> InputError:
    reason = error.strerror or error
    return InputError(f"{path}: cannot be written ({reason}); free some space or choose a folder you may write to.")
