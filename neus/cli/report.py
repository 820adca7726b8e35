"""make the report of a run again: settings, times, curves, views, mesh, on one page

example: neus report runs/scan65
"""

import argparse
from pathlib import Path

from neus.cli.options import add_device_argument, positive_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `report`."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="run folder")
    parser.add_argument(
        "--seconds",
        type=positive_number,
        default=40.0,
        metavar="S",
        help="for the pictures, which get larger and more with it (default 40)",
    )
    parser.add_argument("--data", type=Path, help="scene folder, if it has moved")
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Writes RUN/report.html; prints its path."""
    from neus.reports.report import write_report

    print(write_report(options.run_folder, options.seconds, options.data, options.device))
    return 0
