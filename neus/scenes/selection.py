"""Which views of a scene are read: `dataset.views` and `dataset.exclude`."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from neus.errors import InputError
from neus.scenes.find_files import without_ending


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
            InputError: an entry that is no view or several (with the nearest names), or nothing is left.

        >>> Selection(exclude=(0, "c")).of(["a.png", "b.png", "c.png"], Path("scene"))
        [1]
        """
        kept = {_view_of(entry, names, source, "views") for entry in self.views} or set(range(len(names)))
        kept -= {_view_of(entry, names, source, "exclude") for entry in self.exclude}
        if not kept:
            raise InputError(
                f"{source}: dataset.views and dataset.exclude leave none of the {len(names)} views; keep at least one."
            )
        return sorted(kept)


ALL_VIEWS = Selection()


def _view_of(entry: str | int, names: Sequence[str], source: Path, key: str) -> int:
    if isinstance(entry, int):
        if not 0 <= entry < len(names):
            raise InputError(
                f"{source}: dataset.{key} has the number {entry}, expected 0 to {len(names) - 1}, or a name."
            )
        return entry
    paths, stem = [PurePosixPath(name) for name in names], without_ending(PurePosixPath(entry)).name
    for found in (
        [view for view, name in enumerate(names) if name == entry],
        [view for view, path in enumerate(paths) if path.name == entry or str(without_ending(path)) == entry],
        [view for view, path in enumerate(paths) if without_ending(path).name == stem],
    ):
        if len(found) > 1:
            raise InputError(
                f"{source}: dataset.{key} has {entry!r}, which could be {names[found[0]]} or {names[found[1]]}; give the whole name."
            )
        if found:
            return found[0]
    if entry.isdecimal():
        return _view_of(int(entry), names, source, key)
    nearest = difflib.get_close_matches(entry, names, 1, cutoff=0.0)[0]
    raise InputError(f"{source}: dataset.{key} has {entry!r}, which is no view; the nearest name is {nearest}.")
