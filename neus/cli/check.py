"""look for what is wrong with a scene before hours are spent on it: masks, cameras, region of interest, exposure

example: neus check data/dtu_scan65 --out check_scan65
"""

import argparse
from pathlib import Path

EXIT_FINDINGS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("scene", type=Path, metavar="SCENE", help="folder of the scene, as for train --data")
    parser.add_argument("--conf", type=Path, help="conf whose section `dataset` says how the folder is read")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where check.json and check.png are written (default: check_SCENE in this folder)",
    )
    parser.add_argument(
        "--fast", action="store_true", help="only the part that train does: photographs are not matched"
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if anything is found")


def run(options: argparse.Namespace) -> int:
    """Prints what was measured and found, writes picture and numbers; prints their folder last."""
    from neus.checks.check import check_scene, read_for_check, summary_lines
    from neus.files import check_can_write
    from neus.reports.check_picture import write_check
    from neus.runs.config import read_config
    from neus.scenes.readers import DatasetConfig

    out = options.out or Path(f"check_{options.scene.resolve().name}")
    check_can_write(out / "check.json")
    dataset = read_config(options.conf).dataset if options.conf else DatasetConfig()
    scene = read_for_check(options.scene, dataset)
    result = check_scene(scene, fast=options.fast)
    print("\n".join(summary_lines(scene, result)))
    print(write_check(scene, result, out))
    return EXIT_FINDINGS if options.strict and result.findings else 0
