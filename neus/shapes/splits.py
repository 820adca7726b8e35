"""Which shapes belong together: the split files of DeepSDF, and where their samples are."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from neus.errors import InputError
from neus.files import read_text, write_json

SAMPLES = "SdfSamples"


def read_split(path: Path) -> list[str]:
    """The shapes of a split file as DATASET/CLASS/INSTANCE, in its order, which is that of the codes.

    Raises:
        InputError: missing, or not {"DATASET": {"CLASS": ["INSTANCE", ...]}}.
    """
    text = read_text(path, 'give a split file, {"DATASET": {"CLASS": ["INSTANCE", ...]}}')
    try:
        content = json.loads(text)
        return [f"{data}/{kind}/{name}" for data, kinds in content.items() for kind, names in kinds.items() for name in names]
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f'{path}: no split ({error}), expected {{"DATASET": {{"CLASS": ["INSTANCE", ...]}}}}.') from error


def write_split(path: Path, names: Sequence[str]) -> None:
    """Writes a split of shapes DATASET/CLASS/INSTANCE, in their order; shapes of one class must follow each other."""
    content: dict[str, dict[str, list[str]]] = {}
    for name in names:
        data, kind, instance = name.split("/")
        content.setdefault(data, {}).setdefault(kind, []).append(instance)
    write_json(path, content)


def sample_path(data: Path, name: str) -> Path:
    """The samples of shape DATASET/CLASS/INSTANCE in a data folder."""
    return Path(data) / SAMPLES / f"{name}.npz"


def found_path(text: str, experiment: Path, holding: str = "") -> Path:
    """A path of `specs.json`: as it stands (from where the program was started), else in or beside the experiment folder.

    Args:
        text: the path.
        experiment: folder of the experiment.
        holding: what must lie within a folder of that name for it to be the one.
    """
    given = Path(text)
    folder = Path(experiment).resolve()
    # Normalised, since `..` of a folder that is not made yet leads nowhere.
    beside = [Path(os.path.normpath(start / given)) for start in (folder, folder.parent)]
    for place in (given, *beside):
        if text and (place / holding).exists():
            return place
    return given
