import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from neus.errors import InputError
from neus.files import fcntl, json_text, read_text, write_json, written_whole


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


@pytest.mark.skipif(fcntl is None, reason="Windows has no locks of this kind")
def test_what_killed_processes_left_goes_and_what_others_are_writing_stays(tmp_path):
    names = [".note.0123abcd.part.txt", ".other.89abcdef.part.pth", ".live.00000000.part.txt", ".folder.00000001.part"]
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("part") else (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".mine.part.txt").touch()
    with open(tmp_path / names[2], "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with written_whole(tmp_path / "note.txt") as beside:
            beside.write_text("whole")
    assert sorted(os.listdir(tmp_path)) == [names[2], ".mine.part.txt", "note.txt"]


def test_a_file_is_locked_while_it_is_written_and_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced, target = [], tmp_path / "note.txt"
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, target.exists())))
    with written_whole(target) as beside:
        beside.write_text("whole")
        if fcntl is not None:
            with open(beside, "rb") as file, pytest.raises(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert synced[0] == (target.stat().st_ino, False)
    assert synced[1:] in ([], [(tmp_path.stat().st_ino, True)])  # Windows does not open folders


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "scene"
    with pytest.raises(ValueError):
        with written_whole(target, is_folder=True) as beside:
            (beside / "a.txt").write_text("half")
            raise ValueError
    assert os.listdir(tmp_path) == []
    target.mkdir()  # an empty one is in nobody's way
    with written_whole(target, is_folder=True) as beside:
        (beside / "a.txt").write_text("whole")
    assert os.listdir(tmp_path) == ["scene"] and (target / "a.txt").read_text() == "whole"


def test_json_holds_no_infinity_wherever_it_stands(tmp_path):
    content = {"a": [1.5, math.nan, {"b": -math.inf}], "c": (math.inf, 2), "d": "NaN", "e": np.float64("inf"), "f": True}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert read == {"a": [1.5, None, {"b": None}], "c": [None, 2], "d": "NaN", "e": None, "f": True}
    assert json.loads(json_text(content)) == read and "\n" not in json_text(content)


def test_all_of_the_package_writes_its_json_by_one_function():
    package = Path(__file__).parents[1] / "neus"
    users = {p.relative_to(package).as_posix() for p in package.rglob("*.py") if "json.dump" in p.read_text("utf-8")}
    assert users == {"files.py"}
