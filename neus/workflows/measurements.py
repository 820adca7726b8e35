"""Everything that `evaluate` can measure, one measurement after another, each with its numbers and its table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.evaluation.dtu import scan_of_name
from neus.evaluation.of_mesh import (
    JudgedMesh,
    against_depths,
    against_dtu,
    against_exact,
    against_features,
    against_truth,
    judged_mesh,
)
from neus.runs.config import read_config
from neus.runs.console import QUIET, Console
from neus.runs.run import Run
from neus.runs.run_folder import mesh_of_run
from neus.stereo.region_from_matches import read_located_scene
from neus.workflows.evaluate import evaluate_run

# Stands for the scene's folder in the path of depth maps.
SCENE = "SCENE"
SURFACE_ROWS = ("accuracy", "completeness", "chamfer", "normal_consistency", "accuracy_floor", "completeness_floor")
DTU_ROWS = (
    "accuracy", "completeness", "overall", "truth_spacing", "fraction_of_mesh_beyond_cap", "fraction_of_truth_beyond_cap",
)  # fmt: skip
DEPTH_ROWS = ("mean", "median", "rmse", "covered")
DENSE_ROWS = {
    "offset_px": "offset at which images agree best, median, px",
    "offset_px_90": "... 90 % quantile, px",
    "offset": "... median, world units",
    "offset_90": "... 90 % quantile, world units",
    "disagreement": "mean of 1 - NCC at the surface",
    "disagreeing": "fraction with NCC < 0.5",
    "covered": "fraction of the object measured",
}
POINT_ROWS = ("median", "mean", "mean_clipped", "n_points")


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    Attributes:
        suffix: the end of its file's name; empty for images.
        result: numbers and settings, for JSON.
        rows: names and values of its table, the first row says what was measured.
    """

    suffix: str
    result: dict[str, Any]
    rows: list[tuple[str, Any]]


@dataclass(frozen=True)
class Truths:
    """What a mesh is compared with; what is None or False is not.

    Attributes:
        dtu_root: DTU's own files.
        scan: number of the scan; None takes it from the name of the scene's folder.
        dilation_px: of the object masks by which the mesh is cut before DTU's measure, pixels at 1600 wide; None does not cut.
        icp: DTU's numbers also after an alignment.
        truth_mesh: file with a mesh or points.
        built_in: the exact surface of the built-in scene, or of another synthetic one.
        depth_maps: folder of depth maps; SCENE at its start stands for the scene's folder.
        feature_points: file with triangulated points.
        thresholds: of F-scores and fractions, world units; empty for the usual ones.
        n_samples, seed: random points on each surface.
    """

    dtu_root: Path | None = None
    scan: int | None = None
    dilation_px: int | None = 50
    icp: bool = False
    truth_mesh: Path | None = None
    built_in: bool = False
    depth_maps: Path | None = None
    feature_points: Path | None = None
    thresholds: Sequence[float] = ()
    n_samples: int = 1_000_000
    seed: int = 0

    @property
    def n_asked(self) -> int:
        """How many comparisons these are.

        >>> Truths(built_in=True, truth_mesh=Path("truth.ply")).n_asked
        2
        """
        given = (self.dtu_root, self.truth_mesh, self.depth_maps, self.feature_points)
        return sum(place is not None for place in given) + self.built_in


def measure_images(
    run: Path,
    data: Path | None = None,
    scale: float = 1.0,
    device: str = "auto",
    console: Console = QUIET,
    split: str | None = None,
    overrides: Sequence[str] = (),
) -> Measurement:
    """The image metrics of a run on its held-out views or on a split; arguments as in `evaluate_run`."""
    with console.bar("evaluate", " rays") as progress:
        result = evaluate_run(run, data, scale, device, progress, split, overrides)
    kind = "held-out" if split is None else split
    rows = [(f"{result['n_held_out']} {kind} views", result["checkpoint"]), *result["mean"].items()]
    rows += [("lpips", result["lpips"])] * ("lpips" not in result["mean"])
    return Measurement("" if split is None else f"_{split}", result, rows + dense_rows(result.get("dense", {})))


def dense_rows(dense: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and values of how well the mesh agrees with the held-out images, or why that is not known."""
    if "note" in dense:
        return [("mesh against held-out images", dense["note"])]
    known = {key: name for key, name in DENSE_ROWS.items() if dense.get(key) is not None}
    return [("mesh against held-out images", dense["mesh"]), *((name, dense[key]) for key, name in known.items())] if dense else []


def measure_mesh(
    run: Path | None,
    mesh: Path | None,
    data: Path | None,
    frame: str,
    truths: Truths,
    console: Console = QUIET,
    conf: Path | None = None,
    overrides: Sequence[str] = (),
) -> Iterator[Measurement]:
    """A mesh compared with each truth.

    Args:
        run: whose mesh and scene are taken, unless `mesh` and `data` are given; None needs `mesh`.
        mesh: file.
        data: scene folder.
        frame: of the mesh, `world` or `scene`.
        truths: what it is compared with.
        console: where progress goes.
        config, overrides: how the scene in `data` is read, if no run says it: a config, and `dataset.key=value` each.

    Raises:
        InputError: files that are missing or damaged, or a comparison that needs a scene.
    """
    scene = None
    if run is not None:
        scene = Run(run, data, conf, overrides).scene()
    elif data is not None:
        # As training reads it: the same region of interest, and so the same scene frame.
        scene = read_located_scene(data, read_config(conf, list(overrides)).dataset, lazy=True)
    judged = judged_mesh(mesh or mesh_of_run(run), scene, frame)
    if truths.dtu_root is not None:
        yield _dtu(judged, truths)
    if truths.truth_mesh is not None:
        result = against_truth(judged, truths.truth_mesh, truths.thresholds, truths.n_samples, truths.seed)
        yield Measurement("_truth_mesh", result, _surface_rows(result))
    if truths.built_in:
        result = against_exact(judged, truths.thresholds, truths.n_samples, truths.seed)
        yield Measurement("_built_in_truth", result, [*_surface_rows(result), *_exact_rows(result)])
    if truths.depth_maps is not None:
        yield _depths(judged, truths, console)
    if truths.feature_points is not None:
        result = against_features(judged, truths.feature_points, truths.thresholds)
        rows = [("feature points", result["unit"]), *_rows(result, POINT_ROWS)]
        yield Measurement("_points", result, [*rows, *_fractions("fraction within", result["thresholds"], result["within"])])


def _dtu(judged: JudgedMesh, truths: Truths) -> Measurement:
    name = judged.scene.source.resolve().name if judged.scene else judged.path.stem
    scan = truths.scan or scan_of_name(name)
    if scan is None:
        raise InputError(f"{name}: its name has no DTU scan number, as scan24 has; give --scan N.")
    result = against_dtu(judged, truths.dtu_root, scan, truths.dilation_px, truths.icp)
    rows = [(f"DTU scan {result['scan']}", "mm"), *_rows(result, DTU_ROWS), ("clean-up", result["clean_up"])]
    if truths.icp:
        rows += [("overall after ICP: NOT COMPARABLE", result["after_icp_not_comparable"]["overall"])]
    return Measurement(f"_dtu_scan{result['scan']}", result, rows)


def _surface_rows(result: dict[str, Any]) -> list[tuple[str, Any]]:
    rows = [(result["truth"], result["unit"]), *_rows(result, SURFACE_ROWS)]
    return [*rows, *_fractions("F-score at", result["thresholds"], result["f_scores"])]


def _exact_rows(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """Pixels of footprint, the angle of normals, and textured and untextured parts apart."""
    rows = [(f"{name}, px", result["px"][name]) for name in ("accuracy", "completeness", "chamfer")]
    rows.append(("error of normals, degrees", result["normals_error"]))
    apart = [(f"chamfer of {kind} parts", result[kind]["chamfer"]) for kind in ("textured", "untextured")]
    return rows + [(name, value) for name, value in apart if value is not None]


def _depths(judged: JudgedMesh, truths: Truths, console: Console) -> Measurement:
    folder = truths.depth_maps
    if folder.parts[:1] == (SCENE,):
        if judged.scene is None:
            raise InputError("--depth-maps needs the scene; give its folder with --data, or the run it belongs to.")
        folder = judged.scene.source.joinpath(*folder.parts[1:])
    with console.bar("depth", " views") as progress:
        result = against_depths(judged, folder, truths.thresholds, progress)
    mean = result["mean"]
    rows = [(f"depth in {len(result['views'])} views", result["unit"]), *_rows(mean, DEPTH_ROWS)]
    return Measurement("_depth", result, [*rows, *_fractions("fraction within", result["thresholds"], mean["within"])])


def _rows(result: dict[str, Any], names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Those that are known; a floor of zero goes without saying."""
    kept = [name for name in names if result[name] is not None and not (name.endswith("_floor") and result[name] == 0)]
    return [(name.replace("_", " "), result[name]) for name in kept]


def _fractions(name: str, thresholds: Sequence[float], fractions: Sequence[float]) -> list[tuple[str, Any]]:
    return [(f"{name} {threshold:.4g}", fraction) for threshold, fraction in zip(thresholds, fractions)]
