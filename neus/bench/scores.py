"""The numbers of one run of a benchmark: what `neus evaluate` wrote, and how far the mesh is from what is known."""

import json
import math
from pathlib import Path
from typing import Any

import trimesh

from neus.errors import InputError
from neus.evaluation.exact import exact_scores
from neus.evaluation.files import read_points
from neus.evaluation.surface import feature_scores
from neus.meshing.measures import is_closed
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import written_kind
from neus.scenes.synthetic_kinds import SyntheticKind

# Name of the built-in scene, whose exact surface is known; others of its kind are `synthetic:KIND`.
BUILT_IN = "synthetic"
# Triangulated feature points that may lie in a scene's folder: `points` (P, 3), world units. Training never sees them.
FEATURE_POINTS = "sfm_points.npz"
# In the run folder: the numbers by DTU's protocol.
DTU_FILE = "evaluation_dtu.json"
# Of the mesh's agreement with held-out images, what the table takes.
DENSE = ("offset_px", "offset_px_90", "offset", "disagreement", "covered")
NO_MESH = "no surface was found, so there is no mesh"


def image_scores(folder: Path) -> dict[str, float]:
    """What `neus evaluate` wrote of the held-out views: means, and `dense_*` of the mesh; a mean that is null is read as NaN."""
    content = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    scores = {name: math.nan if value is None else value for name, value in content["mean"].items()}
    dense = content.get("dense", {})
    return scores | {f"dense_{name}": dense[name] for name in DENSE if dense.get(name) is not None}


def dtu_scores(path: Path) -> dict[str, Any]:
    """`dtu_chamfer` (mean of both directions, millimetres) and how the mesh was cleaned, as `evaluate --dtu-root` wrote them.

    Raises:
        InputError: no such numbers in the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        chamfer = float(content["overall"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no `overall` in it ({error!r}); expected what `evaluate --dtu-root` writes."
        ) from error
    return {"dtu_chamfer": chamfer, "dtu_clean_up": str(content.get("clean_up", "not stated"))}


def surface_scores_of(scene: str, data: Path, path: Path) -> dict[str, Any]:
    """Distances of a mesh, as `neus train` wrote it, to what is known of the true surface; world units.

    `exact_*` to the exact surface of a synthetic scene, `feature_*` from the feature points beside a scene.

    Args:
        scene: its name.
        data: its folder.
        path: the mesh.
    """
    truth = data / FEATURE_POINTS
    if not path.is_file():
        return {"note": NO_MESH}
    mesh = trimesh.load(path, process=False, force="mesh")
    scores: dict[str, Any] = {"is_watertight": is_closed(mesh), "n_faces": len(mesh.faces)}
    if scene == BUILT_IN or scene.startswith(f"{BUILT_IN}:"):
        exact = exact_scores(mesh, read_scene(data, lazy=True), written_kind(data) or SyntheticKind())
        scores |= {f"exact_{k}": exact[k] for k in ("chamfer", "accuracy", "completeness", "normals_error")}
        scores["exact_px"] = exact["px"]["chamfer"]
        apart = {f"exact_{kind}": exact[kind]["chamfer"] for kind in ("textured", "untextured")}
        scores |= {name: value for name, value in apart.items() if value is not None}
    elif truth.is_file():
        found = feature_scores(read_points(truth), mesh)
        scores |= {f"feature_{name}": found[name] for name in ("n_points", "mean_clipped", "median", "clip")}
    return scores
