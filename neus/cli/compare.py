"""Compare two runs of one scene side by side: numbers, settings, views, curves, meshes

example: neus compare runs/scan65 runs/scan65_other --out compare.html
"""

import argparse
from pathlib import Path

from neus.cli.options import add_device_argument, positive_number
from neus.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `compare`."""
    data = parser.add_argument_group("data")
    data.add_argument("run_a", type=Path, metavar="RUN_A", help="Run folder")
    data.add_argument("run_b", type=Path, metavar="RUN_B", help="Another, trained on the same images")
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene folder, if it has moved")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        default=Path("compare.html"),
        help="Page to write (default compare.html in the current folder)",
    )
    output.add_argument(
        "--seconds",
        type=positive_number,
        default=40.0,
        metavar="S",
        help="Time for the images of each run, which get larger and more with it (default 40)",
    )
    add_device_argument(parser.add_argument_group("device"))


def run(options: argparse.Namespace) -> int:
    """Writes the page; prints its path."""
    from neus.files import check_can_write
    from neus.reports.compare import write_comparison

    if options.out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {options.out}: expected a file ending in .html.")
    check_can_write(options.out)
    runs = options.run_a, options.run_b
    print(write_comparison(*runs, options.out, options.seconds, options.data, options.device))
    return 0
