"""show two runs of one scene side by side: numbers, settings, views, curves, meshes

example: neus compare runs/scan65 runs/scan65_other --out compare.html
"""

import argparse
from pathlib import Path

from neus.cli.options import add_device_argument, positive_number
from neus.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `compare`."""
    parser.add_argument("run_a", type=Path, metavar="RUN_A", help="run folder")
    parser.add_argument("run_b", type=Path, metavar="RUN_B", help="another, trained on the same photographs")
    parser.add_argument(
        "--out", type=Path, default=Path("compare.html"), help="page to write (default compare.html in this folder)"
    )
    parser.add_argument(
        "--seconds",
        type=positive_number,
        default=40.0,
        metavar="S",
        help="for the pictures of each run, which get larger and more with it (default 40)",
    )
    parser.add_argument("--data", type=Path, help="scene folder, if it has moved")
    add_device_argument(parser)


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
