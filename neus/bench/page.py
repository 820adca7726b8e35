"""The Markdown page of a benchmark: the table, where time went, on what, and what others report."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from neus.bench.published import published_values
from neus.bench.table import MEASURES, TableRow, cell, markdown_table
from neus.evaluation.dtu import scan_of_name

# First line of every page; a file without it was written by somebody and is not replaced.
MARKER = "<!-- Written by `neus bench`, which replaces it: do not edit by hand. -->"
PART_NAMES = {"train": "training", "evaluate": "held-out views", "surface": "surface", "all": "all"}


def bench_page(
    rows: Sequence[TableRow], records: Sequence[dict[str, Any]], command: str, date: str, see_also: str = ""
) -> str:
    """The page.

    Args:
        rows, records: of the same runs.
        command: that made it.
        date: when.
        see_also: name of a file beside it with what was written by hand; empty for none.
    """
    parts = [
        MARKER,
        "# Results",
        f"Made on {date} by\n\n    {command}\n\nwhich resumes where it was stopped. Numbers are medians over the seeds, with their "
        "range where there are several."
        + (f" What was tried on the way, and more: [{see_also}]({see_also})." if see_also else ""),
        _scores_table(rows),
        _meanings(rows),
        _problems(rows),
        "## Where the time went\n\n" + _seconds_table(rows),
        "## Machine and versions\n\n" + _made_with(records),
        _published(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _scores_table(rows: Sequence[TableRow]) -> str:
    header = ["scene", "config", "trained for", "seeds", *(m.title for m in MEASURES)]
    lines = [
        [r.scene, r.conf, r.length, _seeds(r), *(cell(r.scores.get(m.key), m.digits, m.factor) for m in MEASURES)]
        for r in rows
    ]
    return markdown_table(header, lines)


def _seeds(row: TableRow) -> str:
    return ", ".join(map(str, row.seeds)) or "none done"


def _meanings(rows: Sequence[TableRow]) -> str:
    used = [m for m in MEASURES if m.meaning and any(m.key in row.scores for row in rows)]
    return "\n".join(f"* {m.title}: {m.meaning}." for m in used)


def _problems(rows: Sequence[TableRow]) -> str:
    lines = [f"* {line}" for row in rows for line in row.problems]
    return "## Not as planned\n\n" + "\n".join(lines) if lines else ""


def _seconds_table(rows: Sequence[TableRow]) -> str:
    header = ["scene", "config", "trained for", "iterations", *(f"{name}, s" for name in PART_NAMES.values())]
    lines = [
        [r.scene, r.conf, r.length, cell(r.scores.get("iterations"), 0)]
        + [cell(r.seconds.get(part), 1) for part in PART_NAMES]
        for r in rows
        if r.seeds
    ]
    note = "\n\nWall-clock seconds of whole commands: starting Python, reading the scene, compiling kernels and writing included."
    return markdown_table(header, lines) + note if lines else "No run is done."


def _made_with(records: Sequence[dict[str, Any]]) -> str:
    done = [r for r in records if r["status"] == "done"]
    counted = Counter((_machine_line(r["machine"]), _versions_line(r["versions"])) for r in done)
    lines = [f"* {n} run{'s' * (n > 1)}: {machine}; {versions}" for (machine, versions), n in counted.items()]
    if len(counted) > 1:
        lines.append("\nThe runs were not all made on the same machine with the same versions: compare with care.")
    return "\n".join(lines) or "No run is done."


def _machine_line(machine: dict[str, Any]) -> str:
    line = f"{machine['cpu']}, {machine['threads']} threads of {machine['cores']} cores"
    line += f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    gpu_memory = f" {machine['gpu_memory_gib']} GiB" if machine["gpu_memory_gib"] else ""
    return f"{line}, {'trained on ' + machine['gpu'] + gpu_memory if machine['gpu'] else 'no GPU used'}"


def _versions_line(versions: dict[str, Any]) -> str:
    commit = f" (commit {versions['commit']})" if versions["commit"] else ""
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "numpy"))
    return f"neus {versions['neus']}{commit}, {libraries}, {versions['system']}"


def _published(rows: Sequence[TableRow]) -> str:
    """Values of the field for the DTU scans among the rows, ours first; empty without such scans."""
    scans = sorted({scan for row in rows if (scan := scan_of_name(row.scene)) is not None})
    if not scans:
        return ""
    values = published_values()
    header = [
        "method",
        *(f"scan {s}" for s in scans),
        f"mean of {len(values['mean_over'])}",
        "time, GPU",
        "protocol",
        "source",
    ]
    lines = [
        [
            m["method"],
            *(_number(m["scans"].get(str(s))) for s in scans),
            _number(m["mean"]),
            m["time"],
            m["protocol"],
            f"{m['source']} [{m['certainty']}]",
        ]
        for m in values["methods"]
        if m["mean"] is not None or any(str(s) in m["scans"] for s in scans)
    ]
    ours = _own_lines(rows, scans)
    missing = "" if ours else (
        "\n\nNone of ours is listed beside them: the official points and masks were not at hand (`--dtu-root`), and no other "
        "measure of this page may be compared with these."
    )  # fmt: skip
    legend = "; ".join(f"[{tag}] {meaning}" for tag, meaning in values["certainty"].items())
    return (
        f"## Published values: {values['title']}\n\n{values['protocol']}{missing}\n\n"
        f"{markdown_table(header, [*ours, *lines])}\n\n{legend}. Nothing here was measured by us but the lines that say so."
    )


def _own_lines(rows: Sequence[TableRow], scans: list[int]) -> list[list[str]]:
    found: dict[tuple[str, str], dict[int, str]] = {}
    clean_ups: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if value := cell(row.scores.get("dtu_chamfer"), 2):
            found.setdefault((row.conf, row.length), {})[scan_of_name(row.scene)] = value
            clean_ups.setdefault((row.conf, row.length), {}).update(dict.fromkeys(row.clean_ups))
    return [
        [f"ours, {conf}, {length}", *(values.get(s, "") for s in scans), "", "above"]
        + [f"clean-up: {'; '.join(clean_ups[conf, length])}", "measured here"]
        for (conf, length), values in found.items()
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if len(f"{value:g}") > 4 else f"{value:.2f}"
