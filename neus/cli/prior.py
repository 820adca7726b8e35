"""Learn a family of shapes (DeepSDF), and fit, complete and interpolate its members

example: neus prior data --family mug --n 200 --test 50 --out data/mugs
         neus prior train data/mugs --run runs/mugs --minutes 5
         neus prior fit runs/mugs data/mugs/SdfSamples/families/mug/mug_0203.npz
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from neus.cli import prior_fits
from neus.cli.options import EXIT_INTERRUPTED, OneLineParser, positive_number, whole_number

Adder = Callable[[argparse.ArgumentParser], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions of `prior`, each with its options."""
    style = {"metavar": "ACTION", "parser_class": OneLineParser, "required": True, "help": "What to do, each with --help"}
    actions = parser.add_subparsers(title="actions", dest="action", **style)
    for name, summary, add, run_action in ACTIONS:
        action = actions.add_parser(name, help=summary, description=summary)
        add(action)
        action.set_defaults(run_action=run_action)


def run(options: argparse.Namespace) -> int:
    """Runs one action; the path of what was made is the last line."""
    return options.run_action(options)


def _add_data(parser: argparse.ArgumentParser) -> None:
    shapes = parser.add_argument_group("shapes")
    shapes.add_argument("meshes", type=Path, nargs="?", metavar="MESHES", help="Folder of meshes, searched recursively")
    shapes.add_argument("--family", help="Closed-form families instead: some of mug,bottle,table,chair, or all")
    shapes.add_argument("--n", type=whole_number(1), default=200, help="Shapes to train on, of families (default 200)")
    shapes.add_argument("--test", type=whole_number(0), help="Shapes held out (default 50 of families, none of meshes)")
    shapes.add_argument("--sign", choices=("winding", "visible"), default="winding", help="Rule of inside and outside of meshes")
    samples = parser.add_argument_group("samples")
    samples.add_argument("--samples", type=whole_number(100), default=24_000, help="Of each shape (default 24000)")
    samples.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument_group("output").add_argument("--out", type=Path, required=True, help="New folder for the data")


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
    data = parser.add_argument_group("data")
    data.add_argument("data", type=Path, nargs="?", metavar="DATA", help="Data folder of `neus prior data`")
    data.add_argument("--specs", type=Path, help="Specs of a DeepSDF experiment (specs.json), instead of DATA")
    output = parser.add_argument_group("output")
    output.add_argument("--run", dest="run_folder", type=Path, required=True, help="Folder of the run, in the published layout")
    output.add_argument("--up", choices=("y", "z"), help="Axis of the shapes that points up in images (default z)")
    output.add_argument("--resume", action="store_true", help="Go on with the training in the run folder")
    length = parser.add_argument_group("length")
    length.add_argument("--minutes", type=positive_number, help="Time for training (default: the epochs of the specs)")
    length.add_argument("--epochs", type=whole_number(1), help="Epochs instead of those of the specs")
    network = parser.add_argument_group("network", "where no --specs are given")
    network.add_argument("--width", type=whole_number(4), default=128, help="Of hidden layers (default 128)")
    network.add_argument("--layers", type=whole_number(1), default=4, help="Hidden layers (default 4)")
    network.add_argument("--code", type=whole_number(0), default=16, help="Length of codes (default 16); 0 for one shape without")
    network.add_argument("--softplus", type=float, default=0.0, metavar="BETA", help="Softplus in place of ReLU: smooth normals")
    network.add_argument("--delta", type=positive_number, default=0.1, help="Truncation of distances (default 0.1)")
    network.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    device = parser.add_argument_group("device")
    device.add_argument("--device", default="cpu", help="Device: cpu (default), cuda, cuda:N")


def _run_train(options: argparse.Namespace) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.prior import NetworkSize, train

    size = NetworkSize(options.width, options.layers, options.code, options.softplus, options.delta)
    result = train(
        options.run_folder, options.data, options.specs, options.minutes, options.resume, size, options.seed, options.device, TERMINAL,
        options.epochs, options.up,
    )  # fmt: skip
    print(f"{result.steps} steps in {result.seconds:.0f} s, loss {result.loss:.5f}")
    if result.stopped:
        print(f"stopped; go on with: neus prior train --run {result.run} --resume")
        return EXIT_INTERRUPTED
    print(result.run / "shapes.png")
    return 0


def _add_mesh(parser: argparse.ArgumentParser) -> None:
    shape = prior_fits.add_run(parser)
    shape.add_argument("--shape", help="Training shape, by number or name")
    shape.add_argument("--code", type=Path, help="Code in .npy, .npz or .pth instead")
    output = parser.add_argument_group("output")
    output.add_argument("--resolution", type=whole_number(8), default=256, help="Lattice points along each axis (default 256)")
    output.add_argument("--out", type=Path, help="Mesh file (default RUN/Meshes/NAME.ply)")


def _run_mesh(options: argparse.Namespace) -> int:
    from neus.workflows.prior import mesh_shape

    name = options.shape.replace("/", "_") if options.shape is not None else (options.code.stem if options.code else "shape")
    out = options.out or options.run_folder / "Meshes" / f"{name}.ply"
    mesh = mesh_shape(options.run_folder, out, options.shape, options.code, options.resolution, options.epoch)
    print(f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, {'closed' if mesh.is_watertight else 'open'}")
    print(out)
    return 0


def _add_demo(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group("training")
    training.add_argument("--family", default="mug", help="Closed-form family (default mug)")
    training.add_argument("--minutes", type=positive_number, default=3.0, help="Of training (default 3); the rest takes one or two")
    training.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, default=Path("runs/prior_demo"), help="New folder (default runs/prior_demo)")


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
    *prior_fits.ACTIONS,
    ("demo", "From nothing to an image of twelve shapes, three completions and an interpolation", _add_demo, _run_demo),
]
