"""Shapes of a prior side by side on one image, with captions, all at one scale."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.reports.six_sides import FILL, oblique_view

# From where shapes are seen, by the axis that points up: before them, to their right, and above.
VIEWS = {"z": ((0.0, 0.0, 1.0), (0.55, -1.0, 0.65)), "y": ((0.0, 1.0, 0.0), (0.55, 0.65, 1.0))}
# Of a shape on the sheet, pixels, and the strip below it for its caption.
SIZE, CAPTION = 220, 34
LETTERS, INK, SOFT = 0.4, (40, 40, 40), (120, 120, 120)
GROUND = 255
# Points are drawn as dots of this radius, pixels.
DOT = 1
POINT_COLOR = (36, 96, 190)


class Cell(NamedTuple):
    """One place of a sheet.

    Attributes:
        mesh: what is drawn; None leaves the place empty.
        captions: up to two lines.
        points: (n, 3) drawn as dots over it, or None.
    """

    mesh: trimesh.Trimesh | None
    captions: Sequence[str] = ()
    points: NDArray | None = None


def shape_sheet(rows: Sequence[Sequence[Cell]], up: str = "z", size: int = SIZE) -> NDArray:
    """(H, W, 3) uint8 RGB of rows of shapes in the normalised frame, as wide as the longest row; `up` is one of VIEWS."""
    n = max(len(row) for row in rows)
    filled = [[*row, *[Cell(None)] * (n - len(row))] for row in rows]
    # The unit ball, or more where shapes reach beyond it: some decoders fill the cube.
    reaches = [float(np.linalg.norm(cell.mesh.vertices, axis=1).max()) for row in rows for cell in row if cell.mesh is not None]
    view = (size, *map(np.asarray, VIEWS[up]), max([1.0, *reaches]))
    return np.concatenate([np.concatenate([_drawn(cell, *view) for cell in row], axis=1) for row in filled])


def _drawn(cell: Cell, size: int, up: NDArray, toward: NDArray, radius: float) -> NDArray:
    image = np.full((size, size, 3), GROUND, np.uint8)
    if cell.mesh is not None:
        rgba = oblique_view(cell.mesh, up, toward, size, radius).astype(np.float32)
        alpha = rgba[..., 3:] / 255.0
        image = (rgba[..., :3] * alpha + GROUND * (1.0 - alpha)).round().astype(np.uint8)
    if cell.points is not None:
        for x, y in projected(cell.points, size, up, toward, radius).round().astype(int).tolist():
            cv2.circle(image, (x, y), DOT, POINT_COLOR, -1, cv2.LINE_AA)
    strip = np.full((CAPTION, size, 3), GROUND, np.uint8)
    for i, text in enumerate(cell.captions):
        cv2.putText(strip, text, (6, 12 + 15 * i), cv2.FONT_HERSHEY_SIMPLEX, LETTERS, SOFT if i else INK, 1, cv2.LINE_AA)
    return np.concatenate([image, strip])


def projected(points: NDArray, size: int, up: NDArray, toward: NDArray, radius: float = 1.0) -> NDArray:
    """(n, 2) pixels x, y at which points (n, 3) appear on a shape's image."""
    ahead = toward / np.linalg.norm(toward)
    right = np.cross(up, ahead)
    right /= np.linalg.norm(right)
    scale = FILL * size / (2.0 * radius)
    x, y = points @ right, points @ np.cross(ahead, right)
    return np.stack([size / 2 + scale * x, size / 2 - scale * y], axis=-1)
