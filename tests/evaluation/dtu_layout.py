"""A scan in the layout of DTU's own files, so small that its numbers are found by hand."""

from pathlib import Path

import numpy as np
import trimesh
from scipy.io import savemat

GROUND = (0.0, 0.0, 1.0, 0.0)
# The second is out of the observed region, the third beyond the cap, the last below the ground.
SCAN = [[2.0, 2.0, 2.0], [8.0, 2.0, 2.0], [2.0, 2.0, 40.0], [2.0, 2.0, -1.0]]
# One is 1 above the first point, one 2 above the second and out of the observed region, one 7 beside the first.
DOTS = [[2.0, 2.0, 3.0], [8.0, 2.0, 4.0], [2.0, 9.0, 2.0]]


def half_observed() -> np.ndarray:
    """Voxels of 1 mm with centres from 0 to 10, observed where x < 5.5."""
    observed = np.zeros((11, 11, 11), np.uint8)
    observed[:6] = 1
    return observed


def write_dtu(root: Path, scan: int, points, observed, box=((0, 0, 0), (10, 10, 10)), voxel=1.0, plane=GROUND) -> Path:
    """Points/stl, ObsMask and Plane of one scan."""
    (root / "Points" / "stl").mkdir(parents=True, exist_ok=True)
    (root / "ObsMask").mkdir(exist_ok=True)
    cloud = trimesh.PointCloud(np.asarray(points, np.float32), colors=np.full((len(points), 3), 128, np.uint8))
    cloud.export(root / "Points" / "stl" / f"stl{scan:03d}_total.ply")
    savemat(
        root / "ObsMask" / f"ObsMask{scan}_10.mat",
        {"ObsMask": np.asarray(observed, np.uint8), "BB": np.asarray(box, np.float32), "Res": float(voxel)},
    )
    savemat(root / "ObsMask" / f"Plane{scan}.mat", {"P": np.asarray(plane, np.float64)[:, None]})
    return root


def dots(points) -> trimesh.Trimesh:
    """A mesh that is nothing but points: triangles without area, which thinning leaves one point each."""
    return trimesh.Trimesh(points, np.arange(len(points))[:, None].repeat(3, axis=1), process=False)
