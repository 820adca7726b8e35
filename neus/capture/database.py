"""What COLMAP's database says of features and matches, read without COLMAP."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

# COLMAP's kinds of two-view geometry: no model found, and matches that stay where they are, as a watermark does.
_DEGENERATE, _WATERMARK = (0, 1), 7
# A pair's number is (smaller id) * this + (greater id).
_MAX_IMAGES = 2147483647
# Seconds for a reader while COLMAP writes.
LONGEST_WAIT = 10.0


@dataclass(frozen=True)
class Pair:
    """Two images with verified matches: their names, how many matches, and whether these only say that nothing moved."""

    first: str
    second: str
    n_matches: int
    is_watermark: bool


def feature_counts(database: Path) -> dict[str, int]:
    """The number of features of each image, by name."""
    with closing(_opened(database)) as connection:
        rows = connection.execute("SELECT name, rows FROM images LEFT JOIN keypoints USING (image_id)")
        return {name: count or 0 for name, count in rows}


def verified_pairs(database: Path) -> list[Pair]:
    """All pairs of images that geometry has verified."""
    with closing(_opened(database)) as connection:
        names = dict(connection.execute("SELECT image_id, name FROM images"))
        rows = connection.execute("SELECT pair_id, rows, config FROM two_view_geometries WHERE rows > 0").fetchall()
    return [
        Pair(names[number // _MAX_IMAGES], names[number % _MAX_IMAGES], count, config == _WATERMARK)
        for number, count, config in rows
        if config not in _DEGENERATE
    ]


def n_done(step: str, database: Path) -> int:
    """How far a step of `colmap_step` is: images with features, or pairs that were looked at; 0 while it cannot be read.

    Never to be asked in the process that writes the database: SQLite within COLMAP and SQLite within Python know nothing of each
    other there, and closing one gives up the file locks of both (www.sqlite.org/howtocorrupt.html, 2.2).
    """
    table = "descriptors" if step == "extract" else "two_view_geometries"
    try:
        with closing(_opened(database)) as connection:
            return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    except sqlite3.Error:
        return 0


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(database).resolve().as_uri()}?mode=ro", uri=True, timeout=LONGEST_WAIT)
