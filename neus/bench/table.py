"""Records of runs to rows of a table: medians over seeds with their range, and Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A column of numbers.

    Attributes:
        key: of the score in a record.
        title: above the column.
        digits: after the point.
        factor: from the score to what is shown.
        meaning: a line below the table.
    """

    key: str
    title: str
    digits: int
    factor: float = 1.0
    meaning: str = ""


MEASURES = (
    Measure("psnr_masked", "PSNR in the mask, dB", 2, meaning="of held-out views, mean over them, inside the object's mask"),
    Measure("psnr", "PSNR, whole image, dB", 2, meaning="the same over the whole image; low where the background is not modelled"),
    Measure("ssim_masked", "SSIM in the mask", 3, meaning="Gaussian windows of 1.5 pixels, mean within the mask"),
    Measure("ssim", "SSIM, whole image", 3),
    Measure("mask_error", "wrong mask pixels, %", 2, 100.0, "pixels whose opacity is on the other side of 0.5 than the mask"),
    Measure(
        "dense_offset_px", "mesh to held-out images: median, px", 2,
        meaning="offset along the pixels' rays at which held-out and training images agree best about the mesh "
        "(docs/evaluation.md), pixels of motion; says nothing about what has no texture",
    ),
    Measure("dense_offset_px_90", "mesh to held-out images: 90 %, px", 2),
    Measure("dense_covered", "of the object so measured, %", 0, 100.0),
    Measure(
        "exact_chamfer", "Chamfer to the exact surface, mm", 3,
        meaning="mean of both directions, from random points to the surface itself (no sampling floor, no alignment, mesh as "
        "training writes it)",
    ),
    Measure("exact_px", "the same, px", 2, meaning="in pixels of footprint: of what a pixel covers at the scene's centre"),
    Measure("exact_normals_error", "error of normals, degrees", 1, meaning="mean angle to the exact surface's, both ways"),
    Measure("exact_untextured", "Chamfer of parts without texture, mm", 3),
    Measure(
        "feature_mean_clipped", "feature points to mesh: mean, mm", 2,
        meaning="distance of triangulated feature points, which training never sees, to the nearest triangle, clipped at 5; "
        "world units, millimetres for DTU; says nothing about regions without points",
    ),
    Measure("feature_median", "feature points to mesh: median, mm", 2),
    Measure("dtu_chamfer", "DTU Chamfer, mm", 2, meaning="by the official protocol, as `neus evaluate --dtu-root` states it"),
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Median and range of a number over seeds.

    Attributes:
        median, low, high: of the values.
        n: how many there were.
    """

    median: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class TableRow:
    """All seeds of one scene, config and length.

    Attributes:
        scene, config, length: as in the records.
        seeds: that are done.
        scores: by key of the score.
        seconds: by part of the run, and of `all` together.
        clean_ups: what was cut off meshes before DTU's measure, in words.
        problems: one line for each run that is not done, and for each that has something to say.
    """

    scene: str
    conf: str
    length: str
    seeds: tuple[int, ...]
    scores: dict[str, Spread]
    seconds: dict[str, Spread]
    clean_ups: tuple[str, ...]
    problems: tuple[str, ...]


def spread(values: Sequence[float]) -> Spread:
    """Median and range.

    >>> spread([3.0, 1.0, 2.5])
    Spread(median=2.5, low=1.0, high=3.0, n=3)
    """
    return Spread(float(median(values)), float(min(values)), float(max(values)), len(values))


def rows_from_records(records: Iterable[dict[str, Any]]) -> list[TableRow]:
    """One row for each scene, config and length, in the order in which they first come.

    Args:
        records: as in OUT/records, with `scene`, `conf`, `length`, `seed`, `status`, `reason` and `parts`.
    """
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["scene"], record["conf"], record["length"]), []).append(record)
    return [_row(*key, group) for key, group in groups.items()]


def _row(scene: str, conf: str, length: str, records: list[dict[str, Any]]) -> TableRow:
    done = [record for record in records if record["status"] == "done"]
    said = [{k: v for part in r["parts"].values() for k, v in part["scores"].items()} for r in done]
    seconds = [{name: part["seconds"] for name, part in r["parts"].items()} for r in done]
    seconds = [{**parts, "all": sum(parts.values())} for parts in seconds]
    seeds = tuple(record["seed"] for record in done)
    problems = tuple(line for record in records for line in _problems(record))
    clean_ups = tuple(dict.fromkeys(s["dtu_clean_up"] for s in said if "dtu_clean_up" in s))
    return TableRow(
        scene, conf, length, seeds, _spreads([_numbers(s) for s in said]), _spreads(seconds), clean_ups, problems
    )


def _problems(record: dict[str, Any]) -> list[str]:
    name = f"{record['scene']}, {record['conf']}, {record['length']}, seed {record['seed']}"
    if record["status"] != "done":
        return [f"{name}: {'failed: ' + record['reason'] if record['status'] == 'failed' else 'not run yet'}"]
    found = [part["scores"]["note"] for part in record["parts"].values() if "note" in part["scores"]]
    if resumed := record["parts"]["train"].get("resumed", 0):
        found.append(
            f"training was cut off and went on from a checkpoint ({resumed}x); work lost in between is not in its seconds"
        )
    return [f"{name}: {line}" for line in found]


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in scores.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _spreads(values: list[dict[str, float]]) -> dict[str, Spread]:
    keys = dict.fromkeys(key for one in values for key in one)
    return {key: spread([one[key] for one in values if key in one]) for key in keys}


def cell(value: Spread | None, digits: int, factor: float = 1.0) -> str:
    """Median, with the range of several seeds.

    >>> cell(Spread(25.904, 25.7, 26.12, 3), 2), cell(Spread(0.004, 0.004, 0.004, 1), 2, 100.0), cell(None, 1)
    ('25.90 (25.70 to 26.12)', '0.40', '')
    """
    if value is None:
        return ""
    middle, low, high = (f"{x * factor:.{digits}f}" for x in (value.median, value.low, value.high))
    return f"{middle} ({low} to {high})" if value.n > 1 else middle


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, without the columns that are empty in every row; `|` and line ends in cells are made harmless.

    >>> print(markdown_table(["scene", "nothing", "dB"], [["lego", "", "22.1"], ["a|b", "", "20.0"]]))
    | scene | dB |
    |---|---|
    | lego | 22.1 |
    | a\\|b | 20.0 |
    """
    kept = [i for i in range(len(header)) if not rows or any(row[i] for row in rows)]
    lines = [[header[i] for i in kept], *([row[i] for i in kept] for row in rows)]
    text = ["| " + " | ".join(x.replace("|", "\\|").replace("\n", " ") for x in line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(kept), *text[1:]])
