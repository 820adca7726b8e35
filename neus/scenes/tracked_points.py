"""Sparse points of structure from motion: places, colours, and which views each was seen in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# Points that three views agree on are seldom wrong; with fewer of them than this, all points are taken.
MIN_TRACK, MIN_POINTS = 3, 100


@dataclass(frozen=True)
class TrackedPoints:
    """Points of the world and their tracks, as pairs of a point and a view.

    Attributes:
        positions: (P, 3) float64, world units.
        colors: (P, 3) uint8 RGB, or None.
        track_points, track_views: (O,) int64 each: a point, and the number of a view that it was seen in.
    """

    positions: np.ndarray
    colors: np.ndarray | None = None
    track_points: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    track_views: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def lengths(self) -> np.ndarray:
        """(P,) how many views saw each point, by the tracks."""
        return np.bincount(self.track_points, minlength=len(self))

    def seen_by(self, n_views: int) -> list[np.ndarray]:
        """For each of V views the points that it saw, ascending; all of them where there are no tracks."""
        if len(self.track_points) == 0:
            return [np.arange(len(self))] * n_views
        order = np.argsort(self.track_views, kind="stable")
        ends = np.searchsorted(self.track_views[order], np.arange(n_views + 1))
        return [np.unique(self.track_points[order[ends[v] : ends[v + 1]]]) for v in range(n_views)]

    def subset(self, views: Sequence[int]) -> "TrackedPoints":
        """The same points with the tracks of some views alone, which are numbered anew in the order given."""
        place = {view: index for index, view in enumerate(views)}
        new = np.array([place.get(view, -1) for view in range(int(self.track_views.max(initial=-1)) + 1)], np.int64)
        views_then = new[self.track_views] if len(new) else self.track_views
        kept = views_then >= 0
        return TrackedPoints(self.positions, self.colors, self.track_points[kept], views_then[kept])


def reliable_positions(positions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(Q, 3) the finite positions that enough views agree on; all finite ones where these are few.

    Args:
        positions: (P, 3).
        lengths: (P,) of their tracks.

    >>> reliable_positions(np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 0.0]]), np.array([2, 9]))
    array([[1., 2., 3.]])
    """
    finite = np.isfinite(positions).all(axis=1)
    is_long = finite & (lengths >= MIN_TRACK)
    return positions[is_long if int(is_long.sum()) >= MIN_POINTS else finite]
