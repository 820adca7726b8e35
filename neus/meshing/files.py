"""Mesh files: PLY, OBJ, GLB and STL, in world units, whole or not at all, with all digits wherever the world's origin is."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from torch import Tensor

from neus.errors import InputError
from neus.files import json_text, written_whole
from neus.meshing.glb import write_glb

SUFFIXES = (".ply", ".obj", ".glb", ".stl")
# Coordinates need more than float32 if its spacing at the mesh exceeds this part of the mesh's size: a hundredth of the
# cell of a lattice of 1000 points along each axis.
COARSE = 1e-5
_RESOLUTION, _SEEN, _FRAME = "neus extraction resolution", "neus seen", "neus frame"
# Bytes of a file within which its header is searched.
_HEADER_BYTES = 2000


def write_mesh(
    mesh: trimesh.Trimesh,
    path: Path,
    scene_to_world: Tensor | None = None,
    up: np.ndarray | None = None,
    resolution: int | None = None,
    seen: Mapping[str, Any] | None = None,
    frame: str = "",
) -> np.ndarray | None:
    """Writes a mesh with its normals and vertex colours, in the format that the suffix names.

    Where the mesh is so far from the origin (metres of a map, say) that float32 would merge its vertices, PLY holds
    double, and GLB and STL hold coordinates relative to an origin: in GLB it is the translation of a node, so the mesh
    is still in its place; STL has no room for it.

    Args:
        mesh: scene frame, with vertex normals (they are made from the faces if it has none).
        path: ends in .ply, .obj, .glb or .stl (which has neither normals of vertices nor colours); missing folders are made.
        scene_to_world: (4, 4) similarity; None leaves the mesh in the scene frame.
        up: (3,) the vertical in the frame that is written, for GLB, whose viewers take +Y for up; None: unknown, not turned.
        resolution: lattice points along each axis of the box it was extracted from; PLY keeps it for `written_resolution`.
        seen: plain facts about how much of it the views have seen; PLY keeps them for `written_seen`.
        frame: the name of the one that is written, `world` or `scene`; PLY keeps it for `written_frame_name`.

    Returns:
        (3,) the origin that coordinates in the file are relative to; None if it is that of the frame.

    Raises:
        InputError: unknown suffix, folder that cannot be written, disk full.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown mesh format '{path.suffix}'; name the file {', '.join(SUFFIXES)}.")
    placed = in_world(mesh, scene_to_world)
    origin = needed_origin(placed)
    with written_whole(path) as beside:
        if suffix == ".ply":
            _write_ply(placed, beside, "<f4" if origin is None else "<f8", resolution, seen, frame)
        elif suffix == ".obj":
            # Eight decimals as usual; more for a mesh so small that they would not be eight digits of it.
            digits = max(8, 7 - int(np.floor(np.log10(max(placed.extents.max(), 1e-30)))))
            placed.export(beside, file_type="obj", include_normals=True, digits=digits)
        elif suffix == ".glb":
            write_glb(placed, beside, origin, up)
        else:
            placed.apply_translation(np.zeros(3) if origin is None else -origin)
            placed.export(beside, file_type="stl")
    return origin if suffix in (".glb", ".stl") else None


def in_world(mesh: trimesh.Trimesh, scene_to_world: Tensor | None) -> trimesh.Trimesh:
    """A copy of the mesh moved by scene_to_world (4, 4), with its normals and colours; None only copies.

    A matrix that mirrors also turns the faces, which stay outwards.
    """
    # The copy must keep what was set by hand: the field's normals live in the cache.
    placed = mesh.copy(include_cache=True)
    if scene_to_world is not None:
        placed.apply_transform(np.asarray(scene_to_world.cpu(), dtype=np.float64))
    return placed


def written_resolution(path: Path) -> int | None:
    """The `resolution` that `write_mesh` was given for a PLY file; None if it was not, or for other files."""
    found = _comment(path, _RESOLUTION)
    return int(found) if found and found.isdigit() else None


def written_seen(path: Path) -> dict[str, Any] | None:
    """The `seen` that `write_mesh` was given for a PLY file; None if it was not, or for other files."""
    try:
        found = json.loads(_comment(path, _SEEN) or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def written_frame_name(path: Path) -> str | None:
    """The `frame` that `write_mesh` was given for a PLY file; None if it was not, or for other files."""
    return _comment(path, _FRAME)


def _comment(path: Path, name: str) -> str | None:
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES).split(b"end_header")[0]
    found = re.search(rf"^comment {name} (.+)$".encode(), header, re.MULTILINE)
    return found[1].decode("utf-8", "replace") if found and header.startswith(b"ply") else None


def needed_origin(mesh: trimesh.Trimesh) -> np.ndarray | None:
    """(3,) the middle of a mesh's box if float32 is too coarse where it is, else None."""
    low, high = mesh.bounds
    spacing = np.spacing(np.abs([low, high]).max().astype(np.float32))
    return (low + high) / 2 if spacing > COARSE * (high - low).max() else None


def _write_ply(
    mesh: trimesh.Trimesh, path: Path, coordinates: str, resolution: int | None, seen: Mapping[str, Any] | None, frame: str
) -> None:
    """Binary PLY (Turk 1994) with coordinates of the given type, float32 normals and uint8 sRGB colours with alpha."""
    fields = [("position", coordinates, 3), ("normal", "<f4", 3)]
    number = "float" if coordinates == "<f4" else "double"
    properties = [f"{number} {axis}" for axis in "xyz"] + [f"float n{axis}" for axis in "xyz"]
    if mesh.visual.kind == "vertex":
        fields.append(("color", "u1", 4))
        properties += [f"uchar {channel}" for channel in ("red", "green", "blue", "alpha")]
    vertices = np.empty(len(mesh.vertices), fields)
    vertices["position"], vertices["normal"] = mesh.vertices, mesh.vertex_normals
    if mesh.visual.kind == "vertex":
        vertices["color"] = mesh.visual.vertex_colors
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {_RESOLUTION} {resolution}"] if resolution else []
    header += [f"comment {_SEEN} {json_text(dict(seen))}"] if seen else []
    header += [f"comment {_FRAME} {frame}"] if frame else []
    header += [f"element vertex {len(vertices)}"]
    header += [f"property {entry}" for entry in properties]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    with open(path, "wb") as file:
        file.write("\n".join(header).encode())
        file.write(vertices.data)
        file.write(faces.data)
