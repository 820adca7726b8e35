"""Validate a scene: images, intrinsics, masks, poses, region of interest, exposure

example: neus check data/dtu_scan65 --out check_scan65
         neus check data/my_object --write-conf my_object.conf    # then: include "my_object.conf" in a config
"""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import add_region_argument, add_set_argument
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.checks.check import SceneCheck
    from neus.scenes.readers import DatasetConfig
    from neus.scenes.scene import Scene

EXIT_FINDINGS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    data, output = parser.add_argument_group("data"), parser.add_argument_group("output")
    data.add_argument("scene", type=Path, metavar="SCENE", help="Scene folder")
    data.add_argument("--conf", type=Path, help="Config whose section `dataset` determines how the folder is read")
    add_region_argument(data)
    add_set_argument(data)
    data.add_argument("--fast", action="store_true", help="Part that train runs as well: images are not matched")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="Folder for check.json and check.png (default: check_SCENE in the current folder)",
    )
    output.add_argument(
        "--write-conf",
        type=Path,
        metavar="FILE.conf",
        help="Config to be written: the section `dataset` with the region of interest (the suggested one, if any)",
    )
    output.add_argument("--strict", action="store_true", help="Exit status 1 if anything is found")


def run(options: argparse.Namespace) -> int:
    """Prints measures and findings, writes image and numbers; prints their folder last."""
    from neus.checks.check import check_scene, read_for_check, summary_lines
    from neus.files import check_can_write
    from neus.reports.check_image import write_check
    from neus.runs.config import read_config
    from neus.runs.console import TERMINAL
    from neus.runs.load import SECONDS_WITHOUT_BAR

    for override in options.overrides:
        if not override.strip().startswith("dataset"):
            raise InputError(f"--set {override}: `check` reads the section dataset alone, such as dataset.radius=2.")
    out = options.out or Path(f"check_{options.scene.resolve().name}")
    check_can_write(out / "check.json")
    if options.write_conf:
        check_can_write(options.write_conf)
    overrides = [*options.overrides, *([options.region] if options.region else [])]
    dataset = (read_config(options.conf, overrides) if options.conf else read_config(None, overrides)).dataset
    with TERMINAL.bar("reading", " images", delay=SECONDS_WITHOUT_BAR) as progress:
        scene, notes = read_for_check(options.scene, dataset, progress, TERMINAL.message)
    result = check_scene(scene, options.fast, notes)
    print("\n".join(summary_lines(scene, result)))
    if options.write_conf:
        _write_conf(options.write_conf, options.scene, dataset, scene, result)
        print(f"config: {options.write_conf}")
    print(write_check(scene, result, out))
    return EXIT_FINDINGS if options.strict and result.findings else 0


def _write_conf(path: Path, folder: Path, dataset: "DatasetConfig", scene: "Scene", result: "SceneCheck") -> None:
    """Writes the section `dataset` with all that differs from its defaults, the folder, and the region of interest."""
    from pyhocon import ConfigFactory, HOCONConverter

    from neus.checks.regions import region_settings
    from neus.files import written_whole

    section = {f.name: getattr(dataset, f.name) for f in fields(dataset) if getattr(dataset, f.name) != f.default}
    section["data_dir"] = str(folder.resolve())
    if scene.format != "idr":  # its region is given by the camera file
        suggested = (finding.settings for finding in result.findings if finding.settings)
        settings = next(suggested, {} if dataset.box else region_settings(scene))
        if settings:
            section.pop("box", None)
        section |= {key.removeprefix("dataset."): value for key, value in settings.items()}
    content = {key: list(value) if isinstance(value, tuple) else value for key, value in section.items()}
    with written_whole(path) as beside:
        text = HOCONConverter.to_hocon(ConfigFactory.from_dict({"dataset": content}))
        beside.write_text(text + "\n", encoding="utf-8")
