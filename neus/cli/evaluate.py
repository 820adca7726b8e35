"""Evaluate a run or a mesh: images on held-out views, the surface against a ground truth

example: neus evaluate runs/scan65
         neus evaluate runs/scan24 --dtu-root data/DTU
         neus evaluate --mesh scan24.ply --data data/dtu_scan24 --dtu-root data/DTU --scan 24
         neus evaluate runs/dog --truth-mesh textured.obj --depth-maps
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neus.cli.options import Progress, add_device_argument, positive_number, whole_number
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.evaluation.of_mesh import JudgedMesh

# Where the depth maps of a BlendedMVS scene lie; SCENE stands for its folder.
DEPTH_MAPS = Path("SCENE") / "rendered_depth_maps"
SURFACE_ROWS = ("accuracy", "completeness", "chamfer", "normal_consistency", "accuracy_floor", "completeness_floor")
DTU_ROWS = (
    "accuracy",
    "completeness",
    "overall",
    "truth_spacing",
    "share_of_mesh_beyond_cap",
    "share_of_truth_beyond_cap",
)
POINT_ROWS = ("median", "mean", "mean_clipped", "n_points")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    data = parser.add_argument_group("data")
    data.add_argument("run_folder", type=Path, nargs="?", metavar="RUN", help="Run folder; not needed with --mesh")
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene folder, if it has moved, or with --mesh alone")
    images = parser.add_argument_group(
        "images", "PSNR, SSIM (LPIPS if installed) on the views held out by --holdout K of train"
    )
    images.add_argument("--images", action="store_true", help="Image metrics; the default if nothing else is asked for")
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
        "--built-in-truth", action="store_true", help="Exact surface of the built-in scene to compare with"
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
        help="Thresholds of F-scores and shares, world units",
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
    """Measures what is asked for; prints a table of each and, last, the path of its numbers."""
    from neus.files import written_whole

    asked = [name for name in ("dtu_root", "truth_mesh", "depth_maps", "feature_points") if getattr(options, name)]
    asked += ["built_in_truth"] * options.built_in_truth
    if options.run_folder is None and (options.mesh is None or not asked or options.images):
        raise InputError("RUN is missing; give a run folder, or --mesh FILE and what to compare it with (--help).")
    if options.mesh is not None and not asked:
        raise InputError("--mesh: nothing to compare it with; give --dtu-root, --truth-mesh, --depth-maps or the like.")
    paths = []
    for what, result, rows in _measurements(options, asked):
        path = _path_for(options, what, is_alone=len(asked) + (options.images or not asked) == 1)
        with written_whole(path) as beside:
            beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        _print_table(rows)
        paths.append(path)
    print("\n".join(str(path) for path in paths))
    return 0


def _measurements(options: argparse.Namespace, asked: list[str]) -> Iterator[tuple[str, dict, list[tuple[str, Any]]]]:
    """One after another: what was measured (the end of the file's name), the result, and the rows of its table."""
    from neus.workflows.evaluate import evaluate_run

    if options.images or not asked:
        with Progress("evaluate", " rays") as progress:
            result = evaluate_run(options.run_folder, options.data, options.scale, options.device, progress)
        rows = [(f"{result['n_held_out']} held-out views", result["checkpoint"]), *result["mean"].items()]
        yield "", result, rows + [("lpips", result["lpips"])] * ("lpips" not in result["mean"])
    if asked:
        yield from _mesh_measurements(options, asked)


def _mesh_measurements(
    options: argparse.Namespace, asked: list[str]
) -> Iterator[tuple[str, dict, list[tuple[str, Any]]]]:
    from neus.evaluation.of_mesh import against_depths, against_dtu, against_features, against_truth

    judged = _judged(options)
    if "dtu_root" in asked:
        dilation = None if options.no_clean_up else options.dilation
        result = against_dtu(judged, options.dtu_root, _scan(options, judged), dilation, options.icp)
        rows = [(f"DTU scan {result['scan']}", "mm"), *_rows(result, DTU_ROWS), ("clean-up", result["clean_up"])]
        if options.icp:
            rows += [("overall after ICP: NOT COMPARABLE", result["after_icp_not_comparable"]["overall"])]
        yield f"_dtu_scan{result['scan']}", result, rows
    for name, truth in (("truth_mesh", options.truth_mesh), ("built_in_truth", None)):
        if name in asked:
            result = against_truth(judged, truth, options.thresholds, options.samples, options.seed)
            shares = [(f"F-score at {t:.4g}", f) for t, f in zip(result["thresholds"], result["f_scores"])]
            yield f"_{name}", result, [(result["truth"], result["unit"]), *_rows(result, SURFACE_ROWS), *shares]
    if "depth_maps" in asked:
        folder = options.depth_maps
        if folder == DEPTH_MAPS:
            folder = _scene_source(judged) / DEPTH_MAPS.name
        with Progress("depth", " views") as progress:
            result = against_depths(judged, folder, options.thresholds, progress)
        shares = [(f"share within {t:.4g}", s) for t, s in zip(result["thresholds"], result["mean"]["within"])]
        rows = [(f"depth in {len(result['views'])} views", result["unit"])]
        yield "_depth", result, [*rows, *_rows(result["mean"], ("mean", "median", "rmse", "covered")), *shares]
    if "feature_points" in asked:
        result = against_features(judged, options.feature_points, options.thresholds)
        shares = [(f"share within {t:.4g}", s) for t, s in zip(result["thresholds"], result["within"])]
        yield "_points", result, [("feature points", result["unit"]), *_rows(result, POINT_ROWS), *shares]


def _judged(options: argparse.Namespace) -> "JudgedMesh":
    from neus.evaluation.of_mesh import judged_mesh
    from neus.runs.films import scene_of_run
    from neus.runs.run_folder import mesh_of_run
    from neus.scenes.readers import read_scene

    scene = None
    if options.run_folder is not None:
        scene = scene_of_run(options.run_folder, options.data)
    elif options.data is not None:
        scene = read_scene(options.data)
    return judged_mesh(options.mesh or mesh_of_run(options.run_folder), scene, options.mesh_frame)


def _scan(options: argparse.Namespace, judged: "JudgedMesh") -> int:
    from neus.evaluation.dtu import scan_of_name

    name = judged.scene.source.resolve().name if judged.scene else judged.path.stem
    scan = options.scan or scan_of_name(name)
    if scan is None:
        raise InputError(f"{name}: its name does not tell DTU's number of the scan, as scan24 does; give --scan N.")
    return scan


def _scene_source(judged: "JudgedMesh") -> Path:
    if judged.scene is None:
        raise InputError("--depth-maps needs the scene; give its folder with --data, or the run it belongs to.")
    return judged.scene.source


def _path_for(options: argparse.Namespace, what: str, is_alone: bool) -> Path:
    """Where a measurement is written: --out itself if it is the only one, else beside it with `what` in its name."""
    if options.out is not None and is_alone:
        return options.out
    out = options.out or (options.run_folder / "evaluation.json" if options.run_folder else options.mesh)
    return out.with_name(f"{out.stem}{what}.json")


def _rows(result: dict, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Those that are known; a floor of zero goes without saying."""
    kept = [name for name in names if result[name] is not None and not (name.endswith("_floor") and result[name] == 0)]
    return [(name.replace("_", " "), result[name]) for name in kept]


def _print_table(rows: list[tuple[str, Any]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}")
