"""What a check of a scene reports: the finding, its views, and a suggestion."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from neus.files import json_text

# More names than these say no more.
NAMES_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """One suspected fault of a scene.

    Attributes:
        kind: short name, the same in each version of the program, such as "masks_disagree".
        views: the views concerned; empty where it is about the whole scene.
        found: what was found and what was expected, a sentence without its full stop.
        suggestion: what to do, or "" if `found` says it.
        settings: the suggestion as settings, such as `dataset.radius`, where it consists of some.
    """

    kind: str
    views: tuple[int, ...]
    found: str
    suggestion: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def line(self, names: Sequence[str]) -> str:
        """The finding in one line, the views by their names."""
        where = f" (views: {view_list(self.views, names)})" if self.views else ""
        return f"{self.found}{where}" + (f"; {self.suggestion}" if self.suggestion else "")

    def record(self, names: Sequence[str]) -> dict[str, Any]:
        """The same for a JSON file."""
        return asdict(self) | {"views": list(self.views), "names": [names[view] for view in self.views]}


def view_list(views: Sequence[int], names: Sequence[str]) -> str:
    """Number and name of each view, in few words.

    >>> view_list([0, 1], ["a.png", "b.png"])
    '0 a.png, 1 b.png'
    >>> view_list(range(3), ["a.png", "b.png", "c.png"])
    'all 3'
    """
    if len(views) == len(names) > 2:
        return f"all {len(views)}"
    shown = ", ".join(f"{view} {names[view]}" for view in views[:NAMES_SHOWN])
    return shown if len(views) <= NAMES_SHOWN else f"{shown} and {len(views) - NAMES_SHOWN} more"


def exclusion(views: Sequence[int], names: Sequence[str]) -> str:
    """The option that leaves views out; for more than a few, which must not simply be dropped, an empty text.

    >>> print(exclusion([1], ["a.png", "b.png"]))
    , or leave the view out: --set 'dataset.exclude=["b.png"]'
    """
    if len(views) > NAMES_SHOWN or 2 * len(views) > len(names):
        return ""
    which = json_text([names[view] for view in views], ascii_only=False)
    return f", or leave the view{'s' if len(views) > 1 else ''} out: --set 'dataset.exclude={which}'"


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "mask"), counted(2, "mask")
    ('1 mask', '2 masks')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
