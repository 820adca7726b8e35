"""Evaluate a run or a mesh: images on held-out views, the surface against a ground truth

example: neus evaluate runs/scan65
         neus evaluate runs/scan24 --dtu-root data/DTU
         neus evaluate --mesh scan24.ply --data data/dtu_scan24 --dtu-root data/DTU --scan 24
         neus evaluate runs/dog --truth-mesh textured.obj --depth-maps
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neus.cli.options import add_device_argument, add_set_argument, positive_number, whole_number
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.workflows.measurements import Measurement

# Folder of the depth maps of a BlendedMVS scene; SCENE is replaced by the scene's folder.
DEPTH_MAPS = Path("SCENE") / "rendered_depth_maps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    data = parser.add_argument_group("data")
    data.add_argument("run_folder", type=Path, nargs="?", metavar="RUN", help="Run folder; not needed with --mesh")
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene folder, if it has moved, or with --mesh alone")
    data.add_argument("--conf", type=Path, help="Config whose section `dataset` determines how the scene of --mesh is read")
    add_set_argument(data)
    images = parser.add_argument_group(
        "images", "PSNR, SSIM (LPIPS if installed) on the views held out by --holdout K of train"
    )
    images.add_argument("--images", action="store_true", help="Image metrics; the default if nothing else is requested")
    images.add_argument(
        "--split", choices=("test", "val"), help="Split of a Blender scene to measure, instead of the held-out views"
    )
    images.add_argument("--scale", type=positive_number, default=1.0, help="Fraction of the image size (default 1)")
    mesh = parser.add_argument_group("mesh", "distances in world units (millimetres for DTU); see docs/evaluation.md")
    mesh.add_argument("--mesh", type=Path, metavar="FILE", help="Mesh to evaluate (default: the newest of RUN)")
    mesh.add_argument(
        "--mesh-frame", choices=("world", "scene"), default="world", help="Frame of that mesh (default world)"
    )
    mesh.add_argument(
        "--dtu-root", type=Path, metavar="DIR", help="Folder of DTU's own files: Points/stl and ObsMask are in it"
    )
    mesh.add_argument(
        "--scan", type=whole_number(1), help="Number of the DTU scan (default: by the scene folder's name)"
    )
    mesh.add_argument(
        "--dilation",
        type=whole_number(0),
        default=50,
        metavar="PIXELS",
        help="Dilation of the object masks that clip the mesh before DTU's measure, at 1600 wide (default 50)",
    )
    mesh.add_argument("--no-clean-up", action="store_true", help="Mesh as it is, not clipped by the masks")
    mesh.add_argument("--icp", action="store_true", help="DTU's numbers also after an alignment: not comparable")
    mesh.add_argument("--truth-mesh", type=Path, metavar="FILE", help="Mesh or points to compare with")
    mesh.add_argument(
        "--built-in-truth", action="store_true", help="Exact surface of the built-in or another synthetic scene to compare with"
    )
    mesh.add_argument(
        "--depth-maps",
        type=Path,
        nargs="?",
        const=DEPTH_MAPS,
        metavar="DIR",
        help=f"Depth maps NNNNNNNN.pfm to compare with (default: {DEPTH_MAPS}, as in BlendedMVS)",
    )
    mesh.add_argument(
        "--feature-points", type=Path, metavar="FILE", help="Triangulated points to compare with, .npz or .ply"
    )
    mesh.add_argument(
        "--thresholds",
        type=positive_number,
        nargs="+",
        default=[],
        help="Thresholds of F-scores and fractions, world units",
    )
    mesh.add_argument(
        "--samples", type=whole_number(1), default=1_000_000, help="Number of samples on each surface (default 1000000)"
    )
    mesh.add_argument("--seed", type=whole_number(0), default=0, help="Random seed of the samples (default 0)")
    parser.add_argument_group("output").add_argument(
        "--out", type=Path, help="File for the numbers (default RUN/evaluation.json, RUN/evaluation_depth.json, ...)"
    )
    add_device_argument(parser.add_argument_group("device"))


def run(options: argparse.Namespace) -> int:
    """Measures what is requested; prints a table of each and, last, the path of its numbers."""
    from neus.files import write_json

    paths = []
    for measurement, is_alone in _measurements(options):
        path = _path_for(options, measurement.suffix, is_alone)
        write_json(path, measurement.result)
        _print_table(measurement.rows)
        paths.append(path)
    print("\n".join(str(path) for path in paths))
    return 0


def _measurements(options: argparse.Namespace) -> "Iterator[tuple[Measurement, bool]]":
    """The requested measurements, one after another, and whether it is the only one."""
    from neus.runs.console import TERMINAL
    from neus.workflows.measurements import Truths, measure_images, measure_mesh

    truths = Truths(
        options.dtu_root,
        options.scan,
        None if options.no_clean_up else options.dilation,
        options.icp,
        options.truth_mesh,
        options.built_in_truth,
        options.depth_maps,
        options.feature_points,
        options.thresholds,
        options.samples,
        options.seed,
    )
    n_asked, wants_images = truths.n_asked, options.images or truths.n_asked == 0
    if options.run_folder is None and (options.mesh is None or wants_images):
        raise InputError("RUN is missing; give a run folder, or --mesh FILE and what to compare it with (--help).")
    if options.mesh is not None and n_asked == 0:
        raise InputError("--mesh: nothing to compare it with; give --dtu-root, --truth-mesh, --depth-maps or the like.")
    is_alone = n_asked + wants_images == 1
    if wants_images:
        where = (options.run_folder, options.data, options.scale, options.device, TERMINAL)
        yield measure_images(*where, options.split, options.overrides), is_alone
    if n_asked:
        mesh = (options.run_folder, options.mesh, options.data, options.mesh_frame)
        for measurement in measure_mesh(*mesh, truths, TERMINAL, options.conf, options.overrides):
            yield measurement, is_alone


def _path_for(options: argparse.Namespace, what: str, is_alone: bool) -> Path:
    """Where a measurement is written: --out itself if it is the only one, else beside it with `what` in its name."""
    if options.out is not None and is_alone:
        return options.out
    from neus.runs.run import Run

    out = options.out or (Run(options.run_folder).path / "evaluation.json" if options.run_folder else options.mesh)
    return out.with_name(f"{out.stem}{what}.json")


def _print_table(rows: list[tuple[str, Any]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}")
