"""Sparse points in a PLY file beside a scene, and what is known of its world in world.json."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh

from neus.errors import InputError
from neus.files import json_text, read_text
from neus.scenes.scene import Scene
from neus.scenes.tracked_points import TrackedPoints

# The name that NeuS's own scripts give them.
POINT_FILE = "sparse_points.ply"
WORLD_FILE = "world.json"


def read_point_file(path: Path) -> TrackedPoints:
    """The points of a mesh or point file, with their colours; there are no tracks.

    Raises:
        InputError: it cannot be read, or holds no points.
    """
    try:
        cloud = trimesh.load(path, process=False)
        positions = np.asarray(cloud.vertices, np.float64).reshape(-1, 3)
    except (OSError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise InputError(
            f"{path}: not a readable point file ({' '.join(str(error).split())[:160]}); copy it again."
        ) from error
    colors = getattr(cloud, "colors", None)
    if colors is None or len(colors) != len(positions):
        return TrackedPoints(positions)
    return TrackedPoints(positions, np.asarray(colors)[:, :3].astype(np.uint8))


def write_point_file(path: Path, points: TrackedPoints) -> None:
    """Writes places and colours as binary PLY; coordinates as 64-bit numbers, since worlds may be far from their origin."""
    colors = np.full((len(points), 3), 128, np.uint8) if points.colors is None else points.colors
    rows = np.empty(len(points), np.dtype([("xyz", "<f8", 3), ("rgb", "u1", 3)]))
    rows["xyz"], rows["rgb"] = points.positions, colors
    properties = [f"property double {axis}" for axis in "xyz"] + [
        f"property uchar {name}" for name in ("red", "green", "blue")
    ]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *properties, "end_header", ""]
    path.write_bytes("\n".join(head).encode() + rows.tobytes())


def write_world_file(folder: Path, scene: Scene) -> None:
    """world.json with `up` and `metres` of a scene's world, where either is known."""
    known = {"up": scene.up, "metres": scene.metres}
    if any(value is not None for value in known.values()):
        (folder / WORLD_FILE).write_text(json_text(known, indent=2) + "\n", encoding="utf-8")


def with_world_file(scene: Scene, folder: Path) -> Scene:
    """The scene with what world.json says of its world, where its own files say nothing.

    Raises:
        InputError: other than three numbers for `up`, or a positive one for `metres`.
    """
    path = folder / WORLD_FILE
    if not path.is_file():
        return scene
    try:
        content = json.loads(read_text(path))
        up, metres = content.get("up"), content.get("metres")
        numbers = _finite([*(up or ()), *(() if metres is None else (metres,))])
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: {error}; expected up (three numbers) and metres (one). Correct or remove it."
        ) from error
    if (up is not None and (len(up) != 3 or not any(up))) or (metres is not None and not numbers[-1] > 0.0):
        raise InputError(
            f"{path}: up {up} and metres {metres}, expected three numbers and a positive one. Correct or remove it."
        )
    return replace(
        scene,
        up=scene.up or (None if up is None else tuple(numbers[:3])),
        metres=scene.metres or (None if metres is None else numbers[-1]),
    )


def _finite(values: Iterable[float]) -> list[float]:
    numbers = [float(value) for value in values]
    if not np.isfinite(numbers).all():
        raise ValueError("it holds NaN or infinity")
    return numbers
