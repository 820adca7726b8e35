"""Files that are either whole or not there: written beside their final name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neus.errors import InputError


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
