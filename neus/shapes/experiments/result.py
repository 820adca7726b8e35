"""What an experiment gives: rows, a summary against what should be reached, and shapes to look at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.fields.latent_sdf import LatentField
from neus.shapes.measures import field_mesh

Progress = Callable[[int, int], None]
# Lattice of meshes that are only looked at.
SHOWN_RESOLUTION = 96


class Panel(NamedTuple):
    """One shape of the image: a mesh, up to two captions, points over it."""

    mesh: trimesh.Trimesh | None
    captions: Sequence[str] = ()
    points: NDArray | None = None


class Check(NamedTuple):
    """A number held against what a good build reaches.

    Attributes:
        what: it is.
        value: found.
        limit: to be reached.
        at_most: whether the value should be at most the limit, or at least.
    """

    what: str
    value: float
    limit: float
    at_most: bool = True

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass
class ExperimentResult:
    """An experiment.

    Attributes:
        name, question: what is asked.
        rows: one dictionary a shape, or a setting, of plain values; all with the same keys.
        checks: of the summary.
        panels: rows of shapes.
        remarks: lines below the table.
    """

    name: str
    question: str
    rows: list[dict[str, Any]]
    checks: list[Check] = field(default_factory=list)
    panels: list[list[Panel]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        checks = [check._asdict() | {"holds": check.holds} for check in self.checks]
        return {"name": self.name, "question": self.question, "checks": checks, "rows": self.rows, "remarks": self.remarks}

    def markdown(self) -> str:
        """The tables as Markdown: checks, then rows."""
        lines = [f"# {self.name}", "", self.question, "", "| measured | value | should be | |", "|---|---|---|---|"]
        for check in self.checks:
            sign = "<=" if check.at_most else ">="
            lines.append(f"| {check.what} | {number(check.value)} | {sign} {number(check.limit)} | {'yes' if check.holds else 'NO'} |")
        if self.rows:
            keys = list(self.rows[0])
            lines += ["", "| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
            lines += ["| " + " | ".join(number(row[key]) for key in keys) + " |" for row in self.rows]
        return "\n".join([*lines, "", *self.remarks, ""])


def number(value: Any) -> str:
    """A value in few characters.

    >>> number(0.00123456), number(97.12345), number(True), number("mug")
    ('0.00123', '97.1', 'yes', 'mug')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def column(rows: Sequence[dict[str, Any]], key: str) -> NDArray:
    """(n,) float64 of one key."""
    return np.array([float(row[key]) for row in rows])


def median(rows: Sequence[dict[str, Any]], key: str) -> float:
    """Median of one key over the rows."""
    return float(np.median(column(rows, key)))


def quantile90(rows: Sequence[dict[str, Any]], key: str) -> float:
    """The value that nine rows of ten do not exceed."""
    return float(np.quantile(column(rows, key), 0.9))


def short(name: str) -> str:
    """The instance of DATASET/CLASS/INSTANCE."""
    return name.split("/")[-1]


def spread_over(names: Sequence[str], n: int) -> list[int]:
    """Up to n numbers of names, evenly.

    >>> spread_over(["a", "b", "c", "d", "e"], 3)
    [0, 2, 4]
    """
    return sorted({round(i) for i in np.linspace(0, len(names) - 1, min(n, len(names)))})


def mesh_or_none(field: LatentField, resolution: int = SHOWN_RESOLUTION) -> trimesh.Trimesh | None:
    """A shape's mesh to be looked at; None where it has no surface."""
    try:
        return field_mesh(field, resolution)
    except InputError:
        return None


def columns_of(columns: Sequence[Sequence[Panel]]) -> list[list[Panel]]:
    """Rows of panels from columns of them."""
    return [list(row) for row in zip(*columns)] if columns else []


def tell(on_progress: Progress | None, done: int, total: int) -> None:
    """Calls `on_progress`, if there is one."""
    if on_progress is not None:
        on_progress(done, total)


def mean_of(values: NDArray) -> float:
    """Their mean; NaN of none."""
    return float(values.mean()) if len(values) else math.nan
