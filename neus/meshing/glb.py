"""GLB, the binary form of glTF 2.0 (Khronos Group, 2021): one mesh with normals and colours, matte, upright, anywhere in the world."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from neus.errors import InputError
from neus.files import json_text
from neus.meshing.measures import is_closed
from neus.version import VERSION

_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_UINT16, _UINT32, FLOAT = 5123, 5125, 5126  # glTF's componentType
_VERTICES, _INDICES = 34962, 34963  # glTF's target of a buffer view
_GENERATOR = "neus"
_LARGEST = 2**32 - 1  # bytes; the header holds 32 bits


def write_glb(mesh: trimesh.Trimesh, path: Path, origin: np.ndarray | None = None, up: np.ndarray | None = None) -> None:
    """Writes a mesh as a GLB file: `path` is written directly, not beside its place.

    Vertex colours are sRGB in a mesh and linear in glTF; they are stored in 16 bits, so that dark ones stay apart. The
    material reflects nothing (metallic 0, roughness 1), and shows its backs only where the mesh is open.

    Args:
        mesh: with unit vertex normals and, optionally, vertex colours.
        path: of the file.
        origin: (3,) that the float32 vertices are relative to; it is kept as the translation of their node. None: 0.
        up: (3,) the vertical in the mesh's frame, which the root node turns to glTF's +Y. None: not turned.

    Raises:
        InputError: more than the 4 GiB that the format can hold.
    """
    vertices = (mesh.vertices.view(np.ndarray) - (0.0 if origin is None else origin)).astype("<f4")
    normals = np.asarray(mesh.vertex_normals)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(lengths > 0.0, normals / np.where(lengths > 0.0, lengths, 1.0), (0.0, 0.0, 1.0))
    attributes = [("POSITION", vertices, "VEC3", FLOAT), ("NORMAL", normals.astype("<f4"), "VEC3", FLOAT)]
    if mesh.visual.kind == "vertex":
        attributes.append(("COLOR_0", _linear(mesh.visual.vertex_colors), "VEC4", _UINT16))
    write_primitive(path, attributes, mesh.faces.view(np.ndarray), matte(not is_closed(mesh)), nodes(origin, up))


def matte(is_double_sided: bool) -> dict[str, Any]:
    """A material that reflects nothing: metallic 0, roughness 1."""
    return {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": is_double_sided}


def write_primitive(
    path: Path,
    attributes: list[tuple[str, np.ndarray, str, int]],
    faces: np.ndarray,
    material: dict[str, Any],
    tree: list[dict[str, Any]],
    others: dict[str, Any] | None = None,
    images: list[bytes] | None = None,
    extras: dict[str, Any] | None = None,
) -> None:
    """Writes a GLB file of one primitive: `path` is written directly, not beside its place.

    Args:
        path: of the file.
        attributes: name, array, glTF's type (`VEC3`) and componentType of each attribute; the first is POSITION. Rows are a multiple of
            four bytes.
        faces: (m, 3).
        material: the one there is.
        tree: nodes, the first the root.
        others: more entries of the file, such as textures.
        images: JPEG files, numbered by their places.
        extras: facts about the model, kept as `asset.extras`.

    Raises:
        InputError: more than the 4 GiB that the format can hold.
    """
    indices = faces.astype("<u4").ravel()
    parts = [*attributes, ("indices", indices, "SCALAR", _UINT32)]
    accessors, views, start = [], [], 0
    for number, (name, array, kind, component) in enumerate(parts):
        target = _INDICES if name == "indices" else _VERTICES
        views.append({"buffer": 0, "byteOffset": start, "byteLength": array.nbytes, "target": target})
        accessors.append({"bufferView": number, "componentType": component, "count": len(array), "type": kind})
        if component == _UINT16:
            accessors[-1]["normalized"] = True
        start += array.nbytes  # a multiple of four for each of them
    positions = attributes[0][1]
    accessors[0] |= {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    blocks = [np.ascontiguousarray(array).data for _, array, *_ in parts]
    for image in images or ():
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(image)})
        blocks += [image, bytes(-len(image) % 4)]
        start += len(image) + -len(image) % 4
    named = {name: number for number, (name, *_) in enumerate(attributes)}
    content = {
        "asset": {"version": "2.0", "generator": f"{_GENERATOR} {VERSION}"} | ({"extras": extras} if extras else {}),
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": tree,
        "meshes": [{"primitives": [{"attributes": named, "indices": len(parts) - 1, "material": 0}]}],
        "materials": [material],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": start}],
    } | (others or {})
    if images:
        content["images"] = [{"bufferView": len(parts) + i, "mimeType": "image/jpeg"} for i in range(len(images))]
    text = json_text(content).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + start
    if length > _LARGEST:
        raise InputError(
            f"{path}: {length / 2**30:.1f} GiB, but a GLB file holds at most 4; simplify the mesh or write .ply."
        )
    with open(path, "wb") as file:
        file.write(struct.pack("<5I", _MAGIC, 2, length, len(text), _JSON_CHUNK) + text)
        file.write(struct.pack("<2I", start, _BINARY_CHUNK))
        for block in blocks:
            file.write(block)


def written_frame(path: Path) -> np.ndarray:
    """(3, 3) the matrix from what a GLB file shows back to the frame its mesh was written in; the identity if not ours.

    Raises:
        ValueError: not a GLB file.
    """
    with open(path, "rb") as file:
        header = file.read(20)
        if len(header) < 20 or struct.unpack("<I", header[:4])[0] != _MAGIC:
            raise ValueError("no GLB file")
        content = json.loads(file.read(struct.unpack("<I", header[12:16])[0]))
    is_ours = str(content.get("asset", {}).get("generator", "")).startswith(f"{_GENERATOR} ")
    root = content["nodes"][0]
    rotation, scale = root.get("rotation", [0.0, 0.0, 0.0, 1.0]), root.get("scale", [1.0])[0]
    return rotation_matrix(rotation).T / scale if is_ours else np.eye(3)


def nodes(origin: np.ndarray | None, up: np.ndarray | None, scale: float = 1.0) -> list[dict[str, Any]]:
    """The root, which turns `up` (3,) to +Y and scales, and under it the mesh, moved by `origin` (3,); None for neither."""
    root: dict[str, Any] = {"name": "world", "children": [1]}
    child: dict[str, Any] = {"name": "mesh", "mesh": 0}
    if up is not None:
        root["rotation"] = up_to_y(np.asarray(up, np.float64)).tolist()
    if scale != 1.0:
        root["scale"] = 3 * [scale]
    if origin is not None:
        child["translation"] = np.asarray(origin, np.float64).tolist()
    return [root, child]


def up_to_y(up: np.ndarray) -> np.ndarray:
    """(4,) the quaternion x, y, z, w of the smallest rotation that takes a vertical (3,) to +Y."""
    x, y, z = up / np.linalg.norm(up)
    # (up x Y, 1 + up . Y): half the angle between both; where they are opposite, half a turn about x.
    quaternion = np.array([-z, 0.0, x, 1.0 + y]) if y > -1.0 + 1e-12 else np.array([1.0, 0.0, 0.0, 0.0])
    return quaternion / np.linalg.norm(quaternion)


def rotation_matrix(quaternion: list[float]) -> np.ndarray:
    """(3, 3) the rotation of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross


def _linear(colors: np.ndarray) -> np.ndarray:
    """(n, 4) uint16 linear RGBA of (n, 4) uint8 sRGB with alpha (IEC 61966-2-1)."""
    levels = np.arange(256) / 255.0
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    table = (65535.0 * linear).round().astype("<u2")
    return np.column_stack([table[colors[:, :3]], colors[:, 3].astype("<u2") * 257])
