"""Actions of `neus prior` that take a trained prior: fit, complete, interpolate, experiment."""

import argparse
from pathlib import Path

from neus.cli.options import Arguments, positive_number, whole_number

# As `neus.workflows.prior_experiment.EXPERIMENTS`, which takes long to import.
EXPERIMENTS = ("known", "unknown", "completion", "interpolation", "noise", "copying", "truncation", "fit-speed", "pose")


def add_run(parser: argparse.ArgumentParser) -> Arguments:
    """RUN and --epoch, in a group that is returned for more."""
    group = parser.add_argument_group("prior")
    group.add_argument("run_folder", type=Path, metavar="RUN", help="Run of `prior train`, or a published experiment folder")
    group.add_argument("--epoch", default="latest", help="Saved state: a number, or latest (default)")
    return group


def _add_output(parser: argparse.ArgumentParser, resolution: int, folder: str) -> None:
    output = parser.add_argument_group("output")
    output.add_argument("--resolution", type=whole_number(8), default=resolution, help=f"Of meshes (default {resolution})")
    output.add_argument("--out", type=Path, help=f"Folder for meshes, image and numbers (default RUN/{folder})")


def _add_search(parser: argparse.ArgumentParser) -> Arguments:
    search = parser.add_argument_group("search")
    search.add_argument("--pose", action="store_true", help="Fit rotation, translation and scale as well")
    search.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    return search


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    given = parser.add_argument_group("input")
    given.add_argument("input", type=Path, metavar="INPUT", help="Samples (.npz), a mesh, or points (.ply)")
    given.add_argument("--normalize", action="store_true", help="Points are of a whole shape: centre and scale them by their extent")
    given.add_argument("--sign", choices=("winding", "visible"), default="winding", help="Rule of inside and outside of a mesh")
    search = _add_search(parser)
    search.add_argument("--method", choices=("lm", "adam"), default="lm", help="Levenberg-Marquardt (default), or Adam as published")
    _add_output(parser, 160, "fits/INPUT")


def _run_fit(options: argparse.Namespace) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.prior_fit import fit_file

    out = options.out or options.run_folder / "fits" / options.input.stem
    record = fit_file(
        options.run_folder, options.input, out, options.method, options.pose, options.sign, options.normalize, options.seed,
        options.resolution, options.epoch, TERMINAL,
    )  # fmt: skip
    _print_fit(record, out)
    return 0


def _add_complete(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    view = parser.add_argument_group("view")
    view.add_argument("--depth", type=Path, required=True, metavar="FILE", help="Depth map .npy (H, W) along the camera's z; 0: nothing")
    view.add_argument("--camera", type=Path, required=True, metavar="FILE", help="Camera: JSON with intrinsics and camera_to_world")
    view.add_argument("--noise", type=float, default=0.0, metavar="SIGMA", help="Deviation of the depth along the ray (default 0)")
    _add_search(parser)
    _add_output(parser, 160, "completions/DEPTH")


def _run_complete(options: argparse.Namespace) -> int:
    from neus.workflows.prior_fit import complete_view

    out = options.out or options.run_folder / "completions" / options.depth.stem
    record = complete_view(
        options.run_folder, options.depth, options.camera, out, options.pose, options.noise, options.seed, options.resolution, options.epoch
    )
    _print_fit(record, out)
    return 0


def _print_fit(record: dict, out: Path) -> None:
    print(f"{record['method']} from {record['start']}: mean difference {record['difference']:.5f}, {record['seconds']:.1f} s")
    if record.get("error"):
        print(f"against the truth: accuracy {record['error']['accuracy']:.5f}, completeness {record['error']['completeness']:.5f}")
    print(out / "mesh.ply")


def _add_interpolate(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    ends = parser.add_argument_group("shapes")
    ends.add_argument("first", metavar="A", help="Training shape, by number or name")
    ends.add_argument("second", metavar="B", help="Another")
    ends.add_argument("--steps", type=whole_number(2), default=7, help="Shapes in all, both ends counted (default 7)")
    _add_output(parser, 128, "interpolations/A_B")


def _run_interpolate(options: argparse.Namespace) -> int:
    from neus.workflows.prior_fit import interpolate

    ends = [text.split("/")[-1] for text in (options.first, options.second)]
    out = options.out or options.run_folder / "interpolations" / "_".join(ends)
    interpolate(options.run_folder, options.first, options.second, out, options.steps, options.resolution, options.epoch)
    print(out / "interpolation.png")
    return 0


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    asked = parser.add_argument_group("experiment")
    asked.add_argument("name", choices=EXPERIMENTS, metavar="NAME", help=f"One of {', '.join(EXPERIMENTS)}")
    asked.add_argument("--data", type=Path, help="Data folder, if it has moved")
    asked.add_argument("--n", type=whole_number(1), help="Shapes or pairs (default: as docs/shapes.md says)")
    asked.add_argument("--minutes", type=positive_number, default=1.0, help="Of each training of `truncation` (default 1)")
    asked.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument_group("output").add_argument("--out", type=Path, help="Folder (default RUN/experiments)")


def _run_experiment(options: argparse.Namespace) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.prior_experiment import run_experiment

    result = run_experiment(
        options.run_folder, options.name, options.data, options.n, options.minutes, options.seed, options.epoch, options.out, TERMINAL
    )
    for check in result.checks:
        sign = "<=" if check.at_most else ">="
        print(f"{check.what}: {check.value:.4g} ({'' if check.holds else 'NOT '}{sign} {check.limit:.4g})")
    print((options.out or options.run_folder / "experiments") / f"{options.name}.md")
    return 0


ACTIONS = [
    ("fit", "Fit a member of the family to samples, a mesh or points", _add_fit, _run_fit),
    ("complete", "Find the whole shape behind one depth map", _add_complete, _run_complete),
    ("interpolate", "Shapes between two members", _add_interpolate, _run_interpolate),
    ("experiment", "Measure a prior against exact truth: table and image", _add_experiment, _run_experiment),
]
