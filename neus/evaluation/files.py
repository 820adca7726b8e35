"""Meshes and points from files, as given by the user for a measurement."""

from pathlib import Path

import numpy as np
import trimesh

from neus.errors import InputError
from neus.files import npz_header
from neus.meshing.glb import written_frame


def read_surface(path: Path) -> trimesh.Trimesh | np.ndarray:
    """What a file holds: a mesh, or points (n, 3) float64 where it has no faces.

    Args:
        path: any format that trimesh reads (PLY, OBJ, GLB, STL, ...), or .npz with an array `points` (n, 3).

    Raises:
        InputError: missing, unreadable, empty, or with coordinates that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a mesh or points (.ply, .obj, .glb, .npz).")
    try:
        surface = _points_of_npz(path) if path.suffix.lower() == ".npz" else _surface_of(path)
    except Exception as error:  # the parsers of a dozen formats raise whatever they meet
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as mesh or points ({reason}); export it again as .ply.") from error
    points = surface.vertices if isinstance(surface, trimesh.Trimesh) else surface
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise InputError(f"{path}: found coordinates of shape {points.shape}, expected (n, 3), n > 0; export it again.")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: some coordinates are NaN or infinite, expected finite numbers; export it again.")
    return surface


def read_mesh(path: Path) -> trimesh.Trimesh:
    """The mesh in a file; raises as `read_surface`, and where there are points only."""
    surface = read_surface(path)
    if not isinstance(surface, trimesh.Trimesh):
        raise InputError(f"{path}: {len(surface)} points but no faces, expected a mesh; extract it again.")
    return surface


def read_points(path: Path) -> np.ndarray:
    """(n, 3) float64 the points in a file, of a mesh its vertices; raises as `read_surface`."""
    surface = read_surface(path)
    return np.asarray(surface.vertices, np.float64) if isinstance(surface, trimesh.Trimesh) else surface


def _surface_of(path: Path) -> trimesh.Trimesh | np.ndarray:
    # Vertices are taken as they are: merging them would cost memory and change nothing that is measured.
    loaded = trimesh.load(path, process=False)
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_mesh() if hasattr(loaded, "to_mesh") else loaded.dump(concatenate=True)
    if path.suffix.lower() == ".glb":  # turned up for viewers if we wrote it
        turn = np.eye(4)
        turn[:3, :3] = written_frame(path)
        loaded.apply_transform(turn)
    if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
        return loaded
    return np.array(loaded.vertices, dtype=np.float64)


def _points_of_npz(path: Path) -> np.ndarray:
    with np.load(path, mmap_mode="r") as arrays:
        if "points" not in arrays.files:  # `in arrays` would unpack it
            raise ValueError(f"its arrays are {', '.join(arrays.files)}, expected one named points")
        shape, dtype = npz_header(arrays, "points")
        if len(shape) != 2 or shape[1] != 3 or dtype.kind not in "fiu":
            raise ValueError(f"its points have shape {shape} of {dtype}, expected (n, 3) numbers")
        return arrays["points"].astype(np.float64)
