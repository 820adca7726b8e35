"""The configs that come with the package, and the presets by which they are chosen."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from neus.errors import InputError


@dataclass(frozen=True)
class Preset:
    """A pair of shipped configs under one name.

    Attributes:
        with_masks, without_masks: file names in the folder of shipped configs.
        minutes_with_masks, minutes_without_masks: default wall-clock budget; None trains the iterations of the config.
        summary: for the help text.
    """

    with_masks: str
    without_masks: str
    minutes_with_masks: float | None
    minutes_without_masks: float | None
    summary: str

    def conf(self, has_masks: bool) -> Path:
        """The config for a scene with or without object masks."""
        return shipped_conf(self.with_masks if has_masks else self.without_masks)

    def minutes(self, has_masks: bool) -> float | None:
        """The default wall-clock budget; None trains the iterations of the config."""
        return self.minutes_with_masks if has_masks else self.minutes_without_masks


# Minutes as the head of each config suggests.
PRESETS = {
    "quick": Preset("quick_wmask.conf", "quick_womask.conf", 5.0, 5.0, "hash grid, minutes on a CPU"),
    "best": Preset("best_wmask.conf", "best_womask.conf", 60.0, 60.0, "finer hash grids, an hour"),
    "paper": Preset("wmask.conf", "womask.conf", None, None, "the networks of the paper, 300000 iterations on a GPU"),
}


def preset_of_name(name: str) -> Preset:
    """The preset of a name.

    Raises:
        InputError: unknown.

    >>> preset_of_name("quick").with_masks
    'quick_wmask.conf'
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: expected one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def confs_folder() -> Path:
    """The folder of the shipped configs: in the installed package, or beside it in a checkout."""
    package = Path(str(files("neus")))
    return next(
        (folder for folder in (package / "confs", package.parent / "confs") if folder.is_dir()), package / "confs"
    )


def shipped_conf(name: str) -> Path:
    """The file of one of the shipped configs.

    Raises:
        InputError: there is none of that name.

    >>> shipped_conf("quick_wmask.conf").name
    'quick_wmask.conf'
    """
    path = confs_folder() / name
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in confs_folder().glob("*.conf")))
        raise InputError(f"{name}: no such config; shipped are {known or 'none: the installation is incomplete'}.")
    return path


def found_conf(path: Path) -> Path:
    """The file itself, or for a bare name that is not in the current folder, the shipped config of that name."""
    path = Path(path)
    is_bare = path.name == str(path)
    return confs_folder() / path if is_bare and not path.is_file() and (confs_folder() / path).is_file() else path
