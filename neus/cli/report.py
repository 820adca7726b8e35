"""Write the report of a run again: settings, times, curves, views, mesh, on one page

example: neus report runs/scan65
"""

import argparse
from pathlib import Path

from neus.cli.options import add_device_argument, positive_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `report`."""
    data = parser.add_argument_group("data")
    data.add_argument("run_folder", type=Path, metavar="RUN", help="Run folder")
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene folder, if it has moved")
    parser.add_argument_group("output").add_argument(
        "--seconds",
        type=positive_number,
        default=40.0,
        metavar="S",
        help="Time for the images, which get larger and more with it (default 40)",
    )
    add_device_argument(parser.add_argument_group("device"))


def run(options: argparse.Namespace) -> int:
    """Writes RUN/report.html; prints its path."""
    from neus.reports.report import write_report

    print(write_report(options.run_folder, options.seconds, options.data, options.device))
    return 0
