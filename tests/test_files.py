import errno
import os
from pathlib import Path

import pytest

from neus.errors import InputError
from neus.files import read_text, written_whole


def test_a_file_appears_whole_and_new_folders_are_made(tmp_path):
    target = tmp_path / "a" / "b" / "note.txt"
    with written_whole(target) as beside:
        beside.write_text("whole")
        assert not target.exists() and beside.suffix == ".txt"
    assert target.read_text() == "whole" and os.listdir(target.parent) == ["note.txt"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("a bug"), KeyboardInterrupt()]
)
def test_an_error_on_the_way_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "note.txt"
    target.write_text("old")
    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        with written_whole(target) as beside:
            beside.write_text("ha")
            raise error
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["note.txt"]


def test_a_full_disk_is_explained(tmp_path):
    with pytest.raises(
        InputError, match=r"note.txt: cannot be written \(No space left on device\); free some space or"
    ):
        with written_whole(tmp_path / "note.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_path_below_a_file_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        with written_whole(Path(tmp_path / "file" / "note.txt")):
            raise AssertionError("never reached")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_whatever_mark_and_line_ends_windows_gave_it(tmp_path, encoding):
    (tmp_path / "note.txt").write_bytes("größe 1\r\n\r\n2 µm\r3".encode(encoding))
    assert read_text(tmp_path / "note.txt") == "größe 1\n\n2 µm\n3"


def test_what_is_no_unicode_is_explained_in_one_line(tmp_path):
    (tmp_path / "note.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(InputError, match=r"note\.txt: not text in UTF-8 \(byte 2 is 0xf6\); save it as UTF-8, or do so\."):
        read_text(tmp_path / "note.txt", "do so")
    with pytest.raises(InputError, match=r"none\.txt: cannot be read \(No such file"):
        read_text(tmp_path / "none.txt")
