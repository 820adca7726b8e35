"""How far two surfaces are apart: two mesh files, or a ball and a dented copy of it whose distance is known.

    python examples/compare_meshes.py [MESH TRUTH] [--thresholds 0.5 1] [--out FILE.ply]
"""

import argparse
from pathlib import Path

import numpy as np
import trimesh

import neus
from neus.evaluation.surface import distances_to_mesh

# Samples on each surface: the mean then has an error well below a hundredth of itself.
N_SAMPLES = 50_000


def ball_and_dented_ball() -> tuple[trimesh.Trimesh, trimesh.Trimesh]:
    """A ball of radius 50 with its upper cap pressed in by at most 4, and the ball."""
    truth = trimesh.creation.icosphere(5, 50.0)
    dented = truth.copy()
    height = truth.vertices[:, 2] / 50.0
    dented.vertices = truth.vertices * (1.0 - 0.08 * np.clip(height - 0.6, 0.0, None) / 0.4)[:, None]
    return dented, truth


def painted_by_distance(mesh: trimesh.Trimesh, truth: trimesh.Trimesh) -> tuple[trimesh.Trimesh, np.ndarray]:
    """A copy of the mesh, from white at the truth to red at the greatest distance, and the distances (V,)."""
    distances = distances_to_mesh(np.asarray(mesh.vertices), truth)
    fraction = distances / max(distances.max(), 1e-12)
    colors = np.stack([np.ones_like(fraction), 1.0 - fraction, 1.0 - fraction], axis=1)
    painted = mesh.copy()
    painted.visual = trimesh.visual.ColorVisuals(painted, vertex_colors=(255 * colors).astype(np.uint8))
    return painted, distances


def main() -> None:
    """Prints the scores and writes the first mesh coloured by its distance to the second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", nargs="*", metavar="MESH", help="the mesh to judge and the truth; none: a made-up pair")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.5, 1.0], help="for the F-scores, in world units")
    parser.add_argument("--out", type=Path, default=Path("runs/compare_meshes.ply"), help="coloured mesh to write")
    options = parser.parse_args()
    if len(options.meshes) not in (0, 2):
        parser.error("expected two meshes, or none")
    loaded = [trimesh.load_mesh(path) for path in options.meshes]
    mesh, truth = loaded if loaded else ball_and_dented_ball()

    scores = neus.evaluate_mesh(mesh, truth, thresholds=options.thresholds, n_samples=N_SAMPLES)
    print(f"accuracy      {scores.accuracy:8.3f}   mean distance from the mesh to the truth")
    print(f"completeness  {scores.completeness:8.3f}   mean distance from the truth to the mesh")
    print(f"Chamfer       {scores.chamfer:8.3f}   mean of both")
    for threshold, score in zip(scores.thresholds, scores.f_scores):
        print(f"F-score       {score:8.3f}   within {threshold:g}")
    painted, distances = painted_by_distance(mesh, truth)
    worst = np.round(mesh.vertices[distances.argmax()], 2).tolist()
    print(f"farthest      {distances.max():8.3f}   at {worst}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    painted.export(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
