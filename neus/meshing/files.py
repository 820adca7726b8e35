"""Mesh files: PLY, OBJ and GLB, in world units, whole or not at all."""

import os
from pathlib import Path

import numpy as np
import trimesh
from torch import Tensor

from neus.errors import InputError

# What makes trimesh write the normals in each format.
_WITH_NORMALS = {".ply": {"vertex_normal": True}, ".obj": {"include_normals": True}, ".glb": {"include_normals": True}}
SUFFIXES = tuple(_WITH_NORMALS)


def write_mesh(mesh: trimesh.Trimesh, path: Path, scene_to_world: Tensor | None = None) -> None:
    """Writes a mesh with its normals and vertex colours, in the format that the suffix names.

    The file is written beside its place and renamed, so that no reader ever meets half of it.

    Args:
        mesh: scene frame, with vertex normals (they are made from the faces if it has none).
        path: ends in .ply, .obj or .glb; missing folders are made.
        scene_to_world: (4, 4) similarity; None leaves the mesh in the scene frame.

    Raises:
        InputError: unknown suffix, folder that cannot be written, disk full.
    """
    path = Path(path)
    if path.suffix.lower() not in _WITH_NORMALS:
        raise InputError(f"{path}: unknown mesh format '{path.suffix}'; name the file .ply, .obj or .glb.")
    placed = in_world(mesh, scene_to_world)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix.lower()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        placed.export(partial, **_WITH_NORMALS[path.suffix.lower()])
        os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"{path}: the mesh could not be written ({error.strerror or error}); "
            "check the folder's rights and the free space."
        ) from error
    finally:
        _remove(partial)


def in_world(mesh: trimesh.Trimesh, scene_to_world: Tensor | None) -> trimesh.Trimesh:
    """A copy of the mesh moved by scene_to_world (4, 4), with its normals and colours; None only copies.

    A matrix that mirrors also turns the faces, which stay outwards.
    """
    # The copy must keep what was set by hand: the field's normals live in the cache.
    placed = mesh.copy(include_cache=True)
    if scene_to_world is not None:
        placed.apply_transform(np.asarray(scene_to_world.cpu(), dtype=np.float64))
    return placed


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # Its folder was never there or cannot be written: nothing was left in it.
