"""Learn a family of shapes (DeepSDF), and fit, complete and interpolate its members

example: neus prior data --family mug --n 200 --test 50 --out data/mugs
         neus prior train data/mugs --run runs/mugs --minutes 5
         neus prior mesh runs/mugs --shape 3 --out mug.ply
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from neus.cli.options import EXIT_INTERRUPTED, OneLineParser, positive_number, whole_number

Adder = Callable[[argparse.ArgumentParser], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions of `prior`, each with its options."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", parser_class=OneLineParser, required=True)
    for name, summary, add, run_action in ACTIONS:
        action = actions.add_parser(name, help=summary, description=summary)
        add(action)
        action.set_defaults(run_action=run_action)


def run(options: argparse.Namespace) -> int:
    """Runs one action; the path of what was made is the last line."""
    return options.run_action(options)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("meshes", type=Path, nargs="?", metavar="MESHES", help="Folder of meshes, searched recursively")
    parser.add_argument("--family", help="Closed-form families instead: some of mug,bottle,table,chair, or all")
    parser.add_argument("--n", type=whole_number(1), default=200, help="Shapes to train on, of families (default 200)")
    parser.add_argument("--test", type=whole_number(0), default=None, help="Shapes held out (default 50 of families, a tenth of meshes: 0)")
    parser.add_argument("--samples", type=whole_number(100), default=24_000, help="Samples of each shape (default 24000)")
    parser.add_argument("--sign", choices=("winding", "visible"), default="winding", help="Rule of inside and outside of meshes")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="New folder for the data")


def _run_data(options: argparse.Namespace) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.prior import make_data

    families = options.family.split(",") if options.family else []
    n_test = options.test if options.test is not None else (50 if families else 0)
    result = make_data(
        options.out, families, options.meshes, options.n, n_test, options.samples, options.sign, options.seed, TERMINAL
    )
    print(f"{len(result.train)} shapes to train on, {len(result.test)} held out")
    print(options.out)
    return 0


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA", help="Data folder of `neus prior data`")
    parser.add_argument("--run", dest="run_folder", type=Path, required=True, help="Folder of the run, in the published layout")
    parser.add_argument("--specs", type=Path, help="specs.json of a DeepSDF experiment, instead of DATA")
    parser.add_argument("--minutes", type=positive_number, help="Time for training (default: the epochs of the specs)")
    parser.add_argument("--epochs", type=whole_number(1), help="Epochs instead of those of the specs")
    parser.add_argument("--resume", action="store_true", help="Go on with the training in the run folder")
    parser.add_argument("--width", type=whole_number(4), default=128, help="Of hidden layers (default 128)")
    parser.add_argument("--layers", type=whole_number(1), default=4, help="Hidden layers (default 4)")
    parser.add_argument("--code", type=whole_number(0), default=16, help="Length of codes (default 16); 0 for one shape without codes")
    parser.add_argument("--softplus", type=float, default=0.0, metavar="BETA", help="Softplus in place of ReLU: smooth normals")
    parser.add_argument("--delta", type=positive_number, default=0.1, help="Truncation of distances (default 0.1)")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument("--device", default="cpu", help="Device: cpu (default), cuda, cuda:N")


def _run_train(options: argparse.Namespace) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.prior import NetworkSize, train

    size = NetworkSize(options.width, options.layers, options.code, options.softplus, options.delta)
    result = train(
        options.run_folder, options.data, options.specs, options.minutes, options.resume, size, options.seed, options.device, TERMINAL,
        options.epochs,
    )  # fmt: skip
    print(f"{result.steps} steps in {result.seconds:.0f} s, loss {result.loss:.5f}")
    if result.stopped:
        print(f"stopped; go on with: neus prior train --run {result.run} --resume")
        return EXIT_INTERRUPTED
    print(result.run / "shapes.png")
    return 0


def _add_mesh(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--shape", help="Training shape, by number or name")
    parser.add_argument("--code", type=Path, help="Code in .npy, .npz or .pth instead")
    parser.add_argument("--resolution", type=whole_number(8), default=256, help="Lattice points along each axis (default 256)")
    parser.add_argument("--out", type=Path, help="Mesh file (default RUN/Meshes/NAME.ply)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="Run of `prior train`, or a published experiment folder")
    parser.add_argument("--epoch", default="latest", help="Saved state: a number, or latest (default)")


def _run_mesh(options: argparse.Namespace) -> int:
    from neus.workflows.prior import mesh_shape

    name = options.shape.replace("/", "_") if options.shape is not None else (options.code.stem if options.code else "shape")
    out = options.out or options.run_folder / "Meshes" / f"{name}.ply"
    mesh = mesh_shape(options.run_folder, out, options.shape, options.code, options.resolution, options.epoch)
    print(f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, {'closed' if mesh.is_watertight else 'open'}")
    print(out)
    return 0


def _add_fit(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("input", type=Path, metavar="INPUT", help="Samples (.npz), a mesh, or points (.ply)")
    parser.add_argument("--method", choices=("lm", "adam"), default="lm", help="Levenberg-Marquardt (default), or Adam as published")
    parser.add_argument("--pose", action="store_true", help="Fit rotation, translation and scale as well")
    parser.add_argument("--normalize", action="store_true", help="Points are of a whole shape: centre and scale them by their extent")
    parser.add_argument("--sign", choices=("winding", "visible"), default="winding", help="Rule of inside and outside of a mesh")
    _add_output(parser)


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
    _add_run(parser)
    parser.add_argument("--depth", type=Path, required=True, metavar="FILE", help="Depth map .npy (H, W) along the camera's z; 0: nothing")
    parser.add_argument("--camera", type=Path, required=True, metavar="FILE", help="JSON with intrinsics and camera_to_world")
    parser.add_argument("--pose", action="store_true", help="Fit rotation, translation and scale as well")
    parser.add_argument("--noise", type=float, default=0.0, metavar="SIGMA", help="Deviation of the depth along the ray (default 0)")
    _add_output(parser)


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


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resolution", type=whole_number(8), default=160, help="Of the mesh (default 160)")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument("--out", type=Path, help="Folder for code, mesh, image and numbers (default in RUN)")


def _add_interpolate(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("first", metavar="A", help="Training shape, by number or name")
    parser.add_argument("second", metavar="B", help="Another")
    parser.add_argument("--steps", type=whole_number(2), default=7, help="Shapes in all, both ends counted (default 7)")
    parser.add_argument("--resolution", type=whole_number(8), default=128, help="Of the meshes (default 128)")
    parser.add_argument("--out", type=Path, help="Folder (default RUN/interpolations/A_B)")


def _run_interpolate(options: argparse.Namespace) -> int:
    from neus.workflows.prior_fit import interpolate

    ends = [text.split("/")[-1] for text in (options.first, options.second)]
    out = options.out or options.run_folder / "interpolations" / "_".join(ends)
    interpolate(options.run_folder, options.first, options.second, out, options.steps, options.resolution, options.epoch)
    print(out / "interpolation.png")
    return 0


# As `neus.workflows.prior_experiment.EXPERIMENTS`, which takes long to import.
EXPERIMENTS = ("known", "unknown", "completion", "interpolation", "noise", "copying", "truncation", "fit-speed", "pose")


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("name", choices=EXPERIMENTS, metavar="NAME", help=f"One of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--data", type=Path, help="Data folder, if it has moved")
    parser.add_argument("--n", type=whole_number(1), help="Shapes or pairs (default: as in docs/shapes.md)")
    parser.add_argument("--minutes", type=positive_number, default=1.0, help="Of each training of `truncation` (default 1)")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument("--out", type=Path, help="Folder (default RUN/experiments)")


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


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", default="mug", help="Closed-form family (default mug)")
    parser.add_argument("--minutes", type=positive_number, default=3.0, help="Of training (default 3); the rest takes about two more")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument("--out", type=Path, default=Path("runs/prior_demo"), help="New folder (default runs/prior_demo)")


def _run_demo(options: argparse.Namespace) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.prior_demo import run_prior_demo

    result = run_prior_demo(options.out, options.family, options.minutes, options.seed, TERMINAL)
    for name, value in result.items():
        print(f"{name}: {value:.4g}")
    print(options.out / "demo.png")
    return 0


ACTIONS: list[tuple[str, str, Adder, Callable[[argparse.Namespace], int]]] = [
    ("data", "Sample signed distances of closed-form families or of a folder of meshes", _add_data, _run_data),
    ("train", "Train decoder and codes on a data folder", _add_train, _run_train),
    ("mesh", "Extract the mesh of a training shape or of a code", _add_mesh, _run_mesh),
    ("fit", "Fit a member of the family to samples, a mesh or points", _add_fit, _run_fit),
    ("complete", "Find the whole shape behind one depth map", _add_complete, _run_complete),
    ("interpolate", "Shapes between two members", _add_interpolate, _run_interpolate),
    ("experiment", "Measure a prior against exact truth: table and image", _add_experiment, _run_experiment),
    ("demo", "From nothing to an image of twelve shapes, three completions and an interpolation", _add_demo, _run_demo),
]
