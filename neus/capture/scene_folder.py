"""The folder of a captured scene: what was made before, and a new scene put in its place."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.files import check_can_write, read_text, write_json
from neus.scenes.point_files import WORLD_FILE, write_world_file

# Tells how the scene was made, and that it is whole.
CAPTURE_FILE = "capture.json"
# Holds what a capture in progress, or one that was killed, has made so far; removed when the scene is whole.
WORK = ".capture"
# What a capture writes.
_PARTS = ("images", "sparse", "masks")


def read_capture(folder: Path) -> dict[str, Any]:
    """The contents of `capture.json` of a scene, empty without one.

    Raises:
        InputError: no JSON object.
    """
    path = folder / CAPTURE_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_text(path, "run `neus process` again"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not a readable json file ({error}); run `neus process` again, or remove it.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a json object; run `neus process` again, or remove it.")
    return content


def claim(out: Path, source: Path) -> Path:
    """The work folder of a scene folder.

    Raises:
        InputError: the folder cannot be written, holds something that no capture made, or is the source itself.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file, expected a folder for the scene.")
    if source.is_dir() and (out.resolve() == source.resolve() or source.resolve() in out.resolve().parents):
        raise InputError(f"--out {out}: lies within the images; choose a folder elsewhere.")
    if out.is_dir() and any(out.iterdir()) and not (out / WORK).is_dir() and not (out / CAPTURE_FILE).is_file():
        raise InputError(f"--out {out}: holds files that are not an earlier capture's; choose another folder.")
    check_can_write(out / CAPTURE_FILE)
    (out / WORK).mkdir(parents=True, exist_ok=True)
    return out / WORK


def put_in_place(out: Path, model: Path, names: Sequence[str], has_masks: bool = False) -> None:
    """Makes the scene of what lies in the work folder: images/, sparse/0 and, if there are any, masks/. It is whole once it is `sealed`.

    Args:
        out: the scene's folder, claimed.
        model: folder of the finished model.
        names: of the images that are part of the scene; they are moved.
        has_masks: whether the work folder has masks for them.
    """
    for file in (CAPTURE_FILE, WORLD_FILE):
        (out / file).unlink(missing_ok=True)
    for part in _PARTS:
        shutil.rmtree(out / part, ignore_errors=True)
    for name in names:
        _moved(out / WORK / "images" / name, out / "images" / name)
        if has_masks:
            _moved(out / WORK / "masks" / f"{name}.png", out / "masks" / f"{name}.png")
    for file in model.glob("*.bin"):
        _moved(file, out / "sparse" / "0" / file.name)


def seal(out: Path, notes: dict[str, Any], up: Sequence[float]) -> None:
    """Writes the vertical, and `capture.json`, which says that the scene is whole; and removes the work folder."""
    write_world_file(out, up, metres=None)
    write_json(out / CAPTURE_FILE, notes)
    shutil.rmtree(out / WORK, ignore_errors=True)


def _moved(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    file.replace(target)
