"""`capture.json`, which `neus process` leaves beside the scene that it made: what a sparse model has no place for."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import read_text

CAPTURE_FILE = "capture.json"


def read_capture(folder: Path) -> dict[str, Any]:
    """The contents of the file, empty without one.

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


def up_of(folder: Path) -> Tensor | None:
    """(3,) float64 the unit vertical of a scene's world that `capture.json` gives under `up`; None where it gives none.

    Raises:
        InputError: something else than three finite numbers of a direction.
    """
    up = read_capture(folder).get("up")
    if up is None:
        return None
    is_direction = isinstance(up, list) and len(up) == 3 and all(isinstance(x, int | float) and math.isfinite(x) for x in up)
    if not is_direction or not any(up):
        raise InputError(f"{folder / CAPTURE_FILE}: up is {up!r}, expected three numbers, such as [0, 0, 1]; correct or remove it.")
    return torch.nn.functional.normalize(torch.tensor(up, dtype=torch.float64), dim=0)
