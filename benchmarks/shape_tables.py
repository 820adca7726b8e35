"""The tables of docs/shapes.md from what `neus prior experiment` has measured.

    python benchmarks/shape_tables.py "60 mugs=runs/mugs" "four families=runs/all"

Each argument is a title and a run folder; the checks of all its experiments replace what stands between the two markers.
"""

import json
import sys
from pathlib import Path

from neus.shapes.experiments.result import number

PAGE = Path(__file__).parents[1] / "docs" / "shapes.md"
START, END = "<!-- tables: written by benchmarks/shape_tables.py -->", "<!-- end of tables -->"
ORDER = ("known", "unknown", "completion", "noise", "copying", "interpolation", "fit-speed", "pose", "truncation")


def main(arguments: list[str]) -> None:
    """Writes the tables into the page."""
    tables = [table_of(*argument.split("=", 1)) for argument in arguments]
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{START}\n\n" + "\n".join(tables) + f"\n{END}{after}", encoding="utf-8")


def table_of(title: str, run: str) -> str:
    """A table of the checks of all experiments of a run, by the order of the page."""
    lines = [f"### {title}", "", "| experiment | shapes | measured | value | should be | |", "|---|---|---|---|---|---|"]
    for name in ORDER:
        path = Path(run) / "experiments" / f"{name}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        for i, check in enumerate(record["checks"]):
            sign = "at most" if check["at_most"] else "at least"
            first = (name, str(len(record["rows"]))) if i == 0 else ("", "")
            missed = "" if check["holds"] else "**missed**"
            cells = (*first, check["what"], number(check["value"]), f"{sign} {number(check['limit'])}", missed)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main(sys.argv[1:])
