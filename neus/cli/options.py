"""Options and lines common to several verbs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from neus.runs.presets import PRESETS

# As `neus.meshing.unseen.CHOICES`, which takes long to import.
UNSEEN = ("auto", "cut", "keep", "close")
EXIT_DIVERGED, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130


class Arguments(Protocol):
    """A parser, or one of its groups."""

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """As `argparse.ArgumentParser.add_argument`."""
        ...


class OneLineParser(argparse.ArgumentParser):
    """Errors in one line, without the usage text before it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, add_help=False, **settings)
        self.add_argument("-h", "--help", action="help", help="This message")

    def error(self, message: str) -> None:
        """Prints the line and exits with status 2."""
        self.exit(EXIT_USER_ERROR, f"error: {message}; see {self.prog} --help\n")


def preset_summaries() -> str:
    """The presets with what each is for, in one line of help."""
    return "; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items())


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, --conf, --data and --device: which model, where its scene is, and where it is evaluated."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "run_folder",
        type=Path,
        metavar="RUN",
        help="Run folder (its newest checkpoint) or a .pth checkpoint, ours or published",
    )
    data.add_argument("--conf", type=Path, help="Config of a published checkpoint; ours carry theirs")
    add_set_argument(data)
    data.add_argument(
        "--data", type=Path, metavar="SCENE", help="Scene folder, if it has moved or for a published checkpoint"
    )
    add_device_argument(parser.add_argument_group("device"))


def add_device_argument(parser: Arguments) -> None:
    """--device."""
    parser.add_argument("--device", default="auto", help="Device: auto (default), cpu, cuda, cuda:N or mps")


def add_unseen_argument(parser: Arguments) -> None:
    """--unseen."""
    parser.add_argument(
        "--unseen",
        choices=UNSEEN,
        default="auto",
        help="Surface that fewer than two views have seen: cut removes it, keep leaves it, open where it meets the region's box, "
        "close leaves it closed there; auto (default) cuts unless the views go all round",
    )


def add_set_argument(parser: Arguments) -> None:
    """--set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="Override of a config value, such as train.end_iter=2000; may be repeated",
    )


def add_region_argument(parser: Arguments) -> None:
    """--region."""
    parser.add_argument(
        "--region",
        type=region_settings_of,
        metavar="REGION",
        help="What is reconstructed: object (default: what the cameras look at), scene (all that the images show), or a box "
        "in world units, box:X0,Y0,Z0,X1,Y1,Z1 (its corners)",
    )


def region_settings_of(text: str) -> str:
    """A type for argparse: the config value that a region of interest stands for.

    >>> region_settings_of("scene"), region_settings_of("box:0,0,0,1,2,3")
    ('dataset.region=scene', 'dataset.box=[0.0, 0.0, 0.0, 1.0, 2.0, 3.0]')
    """
    if text in ("object", "scene"):
        return f"dataset.region={text}"
    kind, _, numbers = text.partition(":")
    try:
        corners = [float(number) for number in numbers.split(",")]
    except ValueError:
        corners = []
    if kind != "box" or len(corners) != 6:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected object, scene, or box:X0,Y0,Z0,X1,Y1,Z1 in world units")
    return f"dataset.box={corners}"


def whole_number(minimum: int) -> Callable[[str], int]:
    """A type for argparse: an integer not below `minimum`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"found {value}, expected at least {minimum}")
        return value

    return parse


def positive_number(text: str) -> float:
    """A type for argparse: a number above zero."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text}, expected a number above 0")
    return value


def numbers_in_list(text: str) -> list[int]:
    """A type for argparse: `0,8,16`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected numbers separated by commas, such as 0,8") from None


def words_in_list(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """A type for argparse: some of the known words, separated by commas."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"found {word!r}, expected some of {','.join(known)}")
        return words

    return parse
