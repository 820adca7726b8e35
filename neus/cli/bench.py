"""Train and measure several scenes, and write one table

example: neus bench synthetic data/dtu_scan65 data/lego --minutes 2 5 --seeds 0 1 2
         neus bench synthetic --conf quick_wmask.conf --iterations 500 --device cuda:0 cuda:1
         neus bench synthetic:house synthetic:house+noise+gain synthetic:rods+all --conf quick_wmask.conf --minutes 2

Repeating the command resumes it: finished runs are kept, failed ones are tried again. An interrupted training continues
from its checkpoint with --iterations, and starts over with --minutes, whose clock cannot be stopped.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import EXIT_INTERRUPTED, add_set_argument, positive_number, preset_summaries, whole_number
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.bench.run import BenchRun

EXIT_SOME_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `bench`."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "scenes",
        nargs="+",
        metavar="SCENE",
        help="Scene folders, `synthetic` for the built-in scene, `synthetic:KIND` for others (docs/evaluation.md)",
    )
    data.add_argument(
        "--holdout", type=whole_number(2), default=8, metavar="K", help="Interval of the views measured (default 8)"
    )
    data.add_argument(
        "--scale", type=positive_number, default=1.0, help="Fraction of the image size at which they are (default 1)"
    )
    data.add_argument(
        "--dtu-root", type=Path, metavar="DIR", help="DTU's points and observation masks, for scenes named scanN"
    )
    config = parser.add_argument_group("config")
    which = config.add_mutually_exclusive_group()
    which.add_argument(
        "--preset",
        metavar="NAME",
        help=f"Preset, in the variant with or without masks that suits each scene: {preset_summaries()} (default quick)",
    )
    which.add_argument("--conf", type=Path, nargs="+", dest="confs", help="Config files, or names of shipped ones")
    add_set_argument(config)
    schedule = parser.add_argument_group("schedule")
    length = schedule.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=positive_number,
        nargs="+",
        metavar="M",
        help="Wall-clock budgets as of `train`, a run for each (default: the preset's)",
    )
    length.add_argument("--iterations", type=whole_number(1), nargs="+", metavar="N", help="Iterations, a run for each")
    schedule.add_argument(
        "--seeds", type=whole_number(0), nargs="+", default=[0], metavar="S", help="Random seeds (default 0)"
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, default=Path("runs/bench"), help="Folder of runs, records and table (default runs/bench)"
    )
    output.add_argument(
        "--results", type=Path, metavar="FILE.md", help="Second path for the table, such as docs/results.md"
    )
    output.add_argument("--overwrite", action="store_true", help="Repetition of all runs, also of finished ones")
    parser.add_argument_group("device").add_argument(
        "--device",
        nargs="+",
        default=["auto"],
        dest="devices",
        help="Devices, each with one run at a time (default auto)",
    )


def run(options: argparse.Namespace) -> int:
    """Does all runs and writes the table; prints its path last. 1 if some run failed."""
    from neus.bench.bench import Bench, check_results_path, only_one_in, write_tables
    from neus.bench.child import Children

    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out}: is a file, expected a folder.")
    if options.results:
        check_results_path(options.results)
    _check_devices(options.devices)
    with only_one_in(options.out):
        runs, children = planned_runs(options), Children()
        bench = Bench(runs, options.out, options.devices, children.run, lambda line: print(line, flush=True))
        if options.overwrite:
            bench.forget()
        command = command_line(options, [run.scene for run in runs])
        try:
            is_whole = bench.go(lambda: write_tables(bench, command, options.results))
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the next one ends it at once, and its children with it
            bench.stop()
            children.stop()
            bench.wait()  # a training saves a checkpoint first
            print(f"stopped; the same command resumes. So far: {options.out / 'bench.md'}")
            return EXIT_INTERRUPTED
    print(options.results or options.out / "bench.md")
    return 0 if is_whole else EXIT_SOME_FAILED


def planned_runs(options: argparse.Namespace) -> list[BenchRun]:
    """All requested runs; seed by seed, so that a table cut short has every scene once."""
    from neus.bench.bench import check_distinct, scene_folder
    from neus.bench.run import BenchRun
    from neus.runs.config import read_config

    for conf in options.confs or ():
        read_config(conf, options.overrides)
    if options.confs and not options.minutes and not options.iterations:
        raise InputError("--conf: how long is missing; give --minutes or --iterations, or leave --conf out for a preset and its own.")
    if options.dtu_root is not None and not options.dtu_root.is_dir():
        raise InputError(f"--dtu-root {options.dtu_root}: no such folder; expected DTU's Points/ and ObsMask/ in it.")
    scenes = [(name, data, _plans(options, data)) for name, data in (scene_folder(s, options.out) for s in options.scenes)]
    runs = [
        BenchRun(
            name, data, conf, tuple(options.overrides), minutes, iterations, seed, options.holdout, options.scale,
            options.dtu_root,
        )
        for seed in options.seeds
        for name, data, plans in scenes
        for conf, minutes, iterations in plans
    ]  # fmt: skip
    check_distinct(runs)
    return runs


def _plans(options: argparse.Namespace, data: Path) -> list[tuple[Path, float | None, int | None]]:
    """Config, minutes and iterations of each run on a scene, chosen by its masks where no config is given."""
    from neus.runs.config import read_config
    from neus.runs.presets import preset_of_name
    from neus.workflows.jobs import masked_on_disk

    lengths = [(m, None) for m in options.minutes or ()] + [(None, n) for n in options.iterations or ()]
    if options.confs:
        return [(conf, *length) for conf in options.confs for length in lengths]
    preset, has_masks = preset_of_name(options.preset or "quick"), masked_on_disk(data, options.overrides)
    conf, minutes = preset.conf(has_masks), preset.minutes(has_masks)
    if not lengths:
        lengths = [(minutes, None) if minutes else (None, read_config(conf, options.overrides).train.end_iter)]
    return [(conf, *length) for length in lengths]


def _check_devices(devices: list[str]) -> None:
    from neus.runs.build import pick_device

    kinds = {pick_device(device).type for device in devices}
    if len(kinds) > 1 or len(set(devices)) < len(devices):
        raise InputError(
            f"--device {' '.join(devices)}: expected different devices of one kind, or the table would compare unlike machines."
        )


def command_line(options: argparse.Namespace, scenes: list[str]) -> str:
    """The command in the words of the options, scenes and configs by name: where they lie is nobody else's business."""
    words = ["neus bench", *dict.fromkeys(scenes)]
    words += ["--preset", options.preset] if options.preset else []
    words += ["--conf", *(conf.name for conf in options.confs)] if options.confs else []
    words += ["--minutes", *(f"{minutes:g}" for minutes in options.minutes)] if options.minutes else []
    words += ["--iterations", *options.iterations] if options.iterations else []
    words += ["--seeds", *options.seeds, "--holdout", options.holdout]
    words += ["--scale", f"{options.scale:g}"] if options.scale != 1.0 else []
    words += ["--dtu-root", "DIR"] if options.dtu_root else []
    words += [word for change in options.overrides for word in ("--set", change)]
    return " ".join(map(str, [*words, "--device", *options.devices]))
