"""Which views of a scene are read: `dataset.views` and `dataset.exclude`."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from neus.errors import InputError
from neus.scenes.find_files import without_ending


class NoSuchView(InputError):
    """A view is asked for that is not in the scene, or cannot be told from another."""


@dataclass(frozen=True)
class Selection:
    """Views to be read, by name (whole, without folders, or without its ending) or by number, counted from 0 in the scene's order.

    Attributes:
        views: only these; empty for all.
        exclude: none of these.
    """

    views: tuple[str | int, ...] = ()
    exclude: tuple[str | int, ...] = ()

    def of(self, names: Sequence[str], source: Path) -> list[int]:
        """The numbers of the selected views, ascending.

        Args:
            names: V names, all views of the scene.
            source: of the scene, for messages.

        Raises:
            NoSuchView: an entry that is no view or several (with the nearest names).
            InputError: nothing is left.

        >>> Selection(exclude=(0, "c")).of(["a.png", "b.png", "c.png"], Path("scene"))
        [1]
        """
        views = [_Names.of(name) for name in names]
        kept = {_view_of(entry, views, source, "views") for entry in self.views} or set(range(len(names)))
        kept -= {_view_of(entry, views, source, "exclude") for entry in self.exclude}
        if not kept:
            raise InputError(
                f"{source}: dataset.views and dataset.exclude leave none of the {len(names)} views; keep at least one."
            )
        return sorted(kept)


ALL_VIEWS = Selection()


@dataclass(frozen=True)
class _Names:
    """What a view may be called: its whole name, that without folders, and both without ending."""

    whole: str
    file: str
    without_ending: str
    stem: str

    @staticmethod
    def of(name: str) -> "_Names":
        path = without_ending(PurePosixPath(name))
        return _Names(name, PurePosixPath(name).name, str(path), path.name)


def _view_of(entry: str | int, views: Sequence[_Names], source: Path, key: str) -> int:
    if isinstance(entry, int):
        if not 0 <= entry < len(views):
            raise NoSuchView(
                f"{source}: dataset.{key} has the number {entry}, expected 0 to {len(views) - 1}, or a name."
            )
        return entry
    stem = _Names.of(entry).stem
    for found in (
        [number for number, names in enumerate(views) if names.whole == entry],
        [number for number, names in enumerate(views) if entry in (names.file, names.without_ending)],
        [number for number, names in enumerate(views) if names.stem == stem],
    ):
        if len(found) > 1:
            one, other = (views[number].whole for number in found[:2])
            raise NoSuchView(
                f"{source}: dataset.{key} has {entry!r}, which could be {one} or {other}; give the whole name."
            )
        if found:
            return found[0]
    if entry.isdecimal():
        return _view_of(int(entry), views, source, key)
    nearest = difflib.get_close_matches(entry, [names.whole for names in views], 1, cutoff=0.0)[0]
    raise NoSuchView(f"{source}: dataset.{key} has {entry!r}, which is no view; the nearest name is {nearest}.")
