"""A mesh measured against whatever truth there is: DTU's scan, another mesh, the built-in scene, depth maps, feature points."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from neus.errors import InputError
from neus.evaluation.alignment import rigid_alignment
from neus.evaluation.depth import depth_scores, is_in_unit_sphere
from neus.evaluation.dtu import DtuProtocol, dtu_scores, is_above_plane, point_scores, read_dtu, thinned_points
from neus.evaluation.exact import exact_scores
from neus.evaluation.files import read_mesh, read_points, read_surface
from neus.evaluation.surface import feature_scores, surface_scores
from neus.geometry.poses import invert
from neus.geometry.similarity import scale_of
from neus.meshing.clean import clip_to_masks
from neus.meshing.files import in_world, written_frame_name, written_resolution
from neus.meshing.visibility import mesh_depth
from neus.scenes.pfm import read_pfm
from neus.scenes.scene import Scene
from neus.scenes.synthetic import MILLIMETRES_PER_UNIT, WORLD_CENTER, written_kind
from neus.scenes.synthetic_kinds import SyntheticKind

# The width of DTU's images, for which dilations are given.
FULL_WIDTH = 1600
# Pairs of an alignment, millimetres: far enough to converge, near enough to leave out what is missing.
ICP_REACH = 2.0
# Points of the mesh that take part: a rigid motion has six numbers.
ICP_POINTS = 20_000
# Thresholds where none are given, in parts of the radius of the unit sphere.
USUAL_THRESHOLDS = (0.005, 0.01, 0.02)
# Where the mean over feature points is clipped, in parts of the greatest threshold: 5 mm for 0.5, 1 and 2.
CLIP_OVER_THRESHOLD = 2.5


@dataclass(frozen=True)
class JudgedMesh:
    """A mesh in world units, the file it is from if it is from one, and its scene if that is known."""

    mesh: trimesh.Trimesh
    path: Path | None
    scene: Scene | None

    def facts(self) -> dict[str, Any]:
        """What a result says of it."""
        known: dict[str, Any] = {}
        if self.path is not None:
            found = written_resolution(self.path)
            known = {"mesh": str(self.path)} | ({} if found is None else {"resolution": found})
        return known | {"n_vertices": len(self.mesh.vertices), "n_faces": len(self.mesh.faces)}


def judged_mesh(path: Path, scene: Scene | None, frame: str = "world") -> JudgedMesh:
    """The mesh in a file, brought to world units.

    Args:
        path: of the mesh.
        scene: for its frame and masks.
        frame: `world`, or `scene` for a mesh in the unit sphere's.

    Raises:
        InputError: no mesh there, a frame that is not known without a scene, or one that the file itself denies.
    """
    mesh = read_mesh(path)
    if (written := written_frame_name(path)) not in (None, frame):
        raise InputError(f"{path}: was written in the {written} frame, but --mesh-frame is {frame}; give --mesh-frame {written}.")
    if frame == "scene":
        mesh = in_world(mesh, _needed(scene, "--mesh-frame scene").scene_to_world)
    return JudgedMesh(mesh, Path(path), scene)


def against_dtu(judged: JudgedMesh, root: Path, scan: int, dilation_px: int | None, icp: bool = False) -> dict:
    """The official numbers of DTU, with every setting.

    Args:
        judged: the mesh.
        root: folder with Points/ and ObsMask/ of the data set.
        scan: number of the scan.
        dilation_px: cut the mesh by the scene's masks first, enlarged by so many pixels of an image 1600 wide; None: not.
        icp: also show the numbers after a rigid alignment, which no table allows.
    """
    protocol, truth = DtuProtocol(), read_dtu(root, scan)
    mesh, clean_up = judged.mesh, "none"
    if dilation_px is not None:
        mesh, clean_up = cut_by_masks(judged, dilation_px)
    result = dtu_scores(mesh, truth, protocol)
    result = judged.facts() | {"clean_up": clean_up, "alignment": "none"} | result
    if icp:
        points = thinned_points(mesh, protocol)
        motion = rigid_alignment(points[:ICP_POINTS], truth.points[is_above_plane(truth.points, truth)], ICP_REACH)
        moved = points @ motion[:3, :3].T + motion[:3, 3]
        result["after_icp_not_comparable"] = {
            "motion": motion.tolist(),
            "reach_mm": ICP_REACH,
            **point_scores(moved, truth, protocol),
        }
    return result


def cut_by_masks(judged: JudgedMesh, dilation_px: int) -> tuple[trimesh.Trimesh, str]:
    """The mesh (world) within the scene's dilated masks, and in words what was done.

    The dilation is given for images 1600 wide and is scaled to the scene's.
    """
    scene = _needed(judged.scene, "cleaning a mesh by the object masks")
    if scene.masks is None:
        raise InputError(f"{scene.source}: the scene has no masks to clean the mesh by; give --no-clean-up.")
    mesh = in_world(judged.mesh, invert(scene.scene_to_world))
    told = []
    for width in sorted({width for width, _ in scene.sizes}):
        views = [view for view, size in enumerate(scene.sizes) if size[0] == width]
        pixels = round(dilation_px * width / FULL_WIDTH)
        mesh = clip_to_masks(mesh, [scene.camera(v) for v in views], [scene.masks[v] for v in views], pixels)
        told.append(f"{pixels} px in {len(views)} views {width} wide")
    words = f"masks dilated by {dilation_px} px at {FULL_WIDTH} wide: {', '.join(told)}; vertices outside any are cut"
    return in_world(mesh, scene.scene_to_world), words


def against_truth(judged: JudgedMesh, truth: Path, thresholds: Sequence[float], n_samples: int, seed: int) -> dict:
    """Surface scores against a mesh or points in a file, in world units."""
    surface = read_surface(truth)
    thresholds = thresholds or _usual_thresholds(judged.scene, surface)
    scores = asdict(surface_scores(judged.mesh, surface, thresholds, n_samples, seed))
    kind = "mesh" if isinstance(surface, trimesh.Trimesh) else "points"
    settings = {"n_samples": n_samples, "seed": seed}
    return judged.facts() | {"truth": str(truth), "truth_kind": kind, "unit": "world units", **settings, **scores}


def against_exact(judged: JudgedMesh, thresholds: Sequence[float], n_samples: int, seed: int) -> dict:
    """`exact_scores` against the surface of the synthetic scene that the mesh is of, millimetres."""
    scene = _needed(judged.scene, "the exact truth of a synthetic scene")
    kind = _kind_of_scene(scene)
    scores = exact_scores(judged.mesh, scene, kind, thresholds or _usual_thresholds(scene, None), n_samples, seed)
    settings = {"unit": "mm", "n_samples": n_samples, "seed": seed}
    return judged.facts() | {"truth": f"exact surface of synthetic:{kind}", "truth_kind": "exact", **settings, **scores}


def against_features(judged: JudgedMesh, points: Path, thresholds: Sequence[float], clip: float | None = None) -> dict:
    """Distances of triangulated feature points in a file to the mesh, world units."""
    found = read_points(points)
    thresholds = thresholds or _usual_thresholds(judged.scene, found)
    clip = clip or CLIP_OVER_THRESHOLD * max(thresholds)
    return (
        judged.facts()
        | {"points": str(points), "unit": "world units"}
        | feature_scores(found, judged.mesh, thresholds, clip)
    )


def against_depths(
    judged: JudgedMesh,
    folder: Path,
    thresholds: Sequence[float],
    on_progress: Callable[[int, int], None] | None = None,
) -> dict:
    """The mesh's depth in every view against depth maps NNNNNNNN.pfm, along the camera's z, in world units.

    Only pixels count whose true point lies in the unit sphere: the rest is no part of the object. A depth of 0 is unknown.
    """
    scene = _needed(judged.scene, "comparing depths")
    unit = scale_of(scene.scene_to_world)
    thresholds = list(thresholds or [unit * fraction for fraction in USUAL_THRESHOLDS])
    maps = {view: folder / f"{Path(name).stem}.pfm" for view, name in enumerate(scene.names)}
    maps = {view: path for view, path in maps.items() if path.is_file()}
    if not maps:
        example = Path(scene.names[0]).stem
        raise InputError(f"{folder}: no depth map of any of the {len(scene)} views; expected {example}.pfm and so on.")
    mesh = in_world(judged.mesh, invert(scene.scene_to_world))
    views = []
    for done, (view, path) in enumerate(maps.items()):
        truth = read_pfm(path)
        if truth.ndim != 2:
            raise InputError(f"{path}: a map in colour, expected depths in one channel; give the rendered depth maps.")
        camera = scene.camera(view).resized(truth.shape[1], truth.shape[0])
        counts = np.isfinite(truth) & (truth > 0) & is_in_unit_sphere(truth.astype(np.float64) / unit, camera)
        scores = depth_scores(unit * mesh_depth(mesh, camera), truth, counts, thresholds)
        views.append({"view": view, "name": scene.names[view], **scores})
        if on_progress:
            on_progress(done + 1, len(maps))
    return judged.facts() | {
        "depth_maps": str(folder),
        "depth_of": "the mesh, at pixel centres",
        "counted": "pixels whose true point lies in the scene's unit sphere",
        "unit": "world units",
        "thresholds": thresholds,
        "mean": _means_of_views(views),
        "views": views,
    }


def _means_of_views(views: list[dict]) -> dict[str, Any]:
    known = {name: [v[name] for v in views if v[name] is not None] for name in ("covered", "mean", "median", "rmse")}
    means: dict[str, Any] = {name: float(np.mean(values)) if values else None for name, values in known.items()}
    return means | {"within": np.mean([v["within"] for v in views], axis=0).tolist()}


def _usual_thresholds(scene: Scene | None, truth: object) -> list[float]:
    """Parts of the unit sphere's radius; without a scene, of half the diagonal of the truth."""
    if scene is not None:
        return [fraction * scale_of(scene.scene_to_world) for fraction in USUAL_THRESHOLDS]
    points = truth.vertices if isinstance(truth, trimesh.Trimesh) else truth
    return [fraction * float(np.linalg.norm(np.ptp(points, axis=0))) / 2 for fraction in USUAL_THRESHOLDS]


def _kind_of_scene(scene: Scene) -> SyntheticKind:
    """What its folder says it shows; the cup of the built-in scene if it says nothing."""
    expected = torch.tensor([*WORLD_CENTER, MILLIMETRES_PER_UNIT], dtype=torch.float64)
    found = torch.cat([scene.scene_to_world[:3, 3].double(), scene.scene_to_world[:1, 0].double()])
    if not torch.allclose(found, expected, rtol=1e-6):
        raise InputError(
            f"{scene.source}: is not a synthetic scene (its scale matrix differs), the built-in one for instance; give --truth-mesh FILE."
        )
    return written_kind(scene.source) or SyntheticKind()


def _needed(scene: Scene | None, what: str) -> Scene:
    if scene is None:
        raise InputError(f"{what} needs the scene; give its folder with --data, or the run it belongs to.")
    return scene
