"""Files that are either whole or not there (written beside their final name, then renamed), and text in any Unicode encoding."""

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neus.errors import InputError

# Editors on Windows put such a mark before the text; the longer ones first, since one begins like another.
_UNICODE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, remedy: str = "copy or export the file again") -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32 with one; lines end in a line feed.

    Args:
        path: a text file.
        remedy: what to do if it cannot be read; ends the message.

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
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {remedy}.") from error
    encoding = next((name for mark, name in _UNICODE_MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not text in {encoding.removesuffix('-sig').upper()} (byte {error.start} is {data[error.start]:#04x}); "
            f"save it as UTF-8, or {remedy}."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix, that takes its name when the block ends without an error.

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
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> InputError:
    reason = error.strerror or error
    return InputError(f"{path}: cannot be written ({reason}); free some space or choose a folder you may write to.")
