"""The numbers of one run of a benchmark: what `neus evaluate` wrote, and how far the mesh is from what is known."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trimesh

from neus.datasets.readers import read_scene
from neus.evaluation.feature_points import FILE_NAME, feature_point_scores, read_feature_points
from neus.experiment.demo import compare_with_truth

# Name of the built-in scene, whose exact surface is known.
BUILT_IN = "synthetic"


def image_scores(folder: Path) -> dict[str, float]:
    """The means over the held-out views that `neus evaluate` wrote."""
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["mean"]


def dtu_scores(folder: Path) -> dict[str, float]:
    """Chamfer distance by DTU's protocol, if `neus evaluate` wrote one: `dtu_chamfer`, millimetres."""
    for path in [folder / "evaluation.json", *sorted(folder.glob("*dtu*.json"))]:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        section = content.get("dtu", content if "dtu" in path.name else {})
        value = section.get("chamfer") if isinstance(section, dict) else None
        if isinstance(value, int | float):
            return {"dtu_chamfer": float(value)}
    return {}


def surface_scores_of(scene: str, data: Path, path: Path) -> dict[str, Any]:
    """Distances of a mesh, as `neus train` wrote it, to what is known of the true surface; world units.

    `exact_*` to the signed distance of the built-in scene, `feature_*` from the feature points beside a scene.

    Args:
        scene: its name.
        data: its folder.
        path: the mesh.
    """
    truth = data / FILE_NAME
    if not path.is_file():
        return {"note": "no surface was found, so there is no mesh"}
    mesh = trimesh.load(path, process=False, force="mesh")
    scores: dict[str, Any] = {"is_watertight": bool(mesh.is_watertight), "n_faces": len(mesh.faces)}
    if scene == BUILT_IN:
        exact = compare_with_truth(mesh, read_scene(data))
        scores |= {f"exact_{k}": getattr(exact, k) for k in ("chamfer", "accuracy", "completeness")}
    elif truth.is_file():
        found = feature_point_scores(read_feature_points(truth), mesh)
        scores |= {f"feature_{k}": v for k, v in asdict(found).items()}
    return scores
