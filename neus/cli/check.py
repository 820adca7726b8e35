"""Validate a scene: masks, poses, region of interest, exposure

example: neus check data/dtu_scan65 --out check_scan65
"""

import argparse
from pathlib import Path

EXIT_FINDINGS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    data, output = parser.add_argument_group("data"), parser.add_argument_group("output")
    data.add_argument("scene", type=Path, metavar="SCENE", help="Scene folder")
    data.add_argument("--conf", type=Path, help="Config whose section `dataset` determines how the folder is read")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="Folder for check.json and check.png (default: check_SCENE in the current folder)",
    )
    data.add_argument("--fast", action="store_true", help="Part that train runs as well: images are not matched")
    output.add_argument("--strict", action="store_true", help="Exit status 1 if anything is found")


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
