"""The visual hull of masks on a lattice over the unit sphere, finer than its steps: where the object can be."""

import cv2
import numpy as np

from neus.geometry.cameras import projection
from neus.kernels.threads import run_tasks
from neus.scenes.region_from_masks import reduced
from neus.scenes.scene import Scene

# The object lies inside the unit sphere, and its surface must close before the sphere does.
BALL_RADIUS = 0.98
# Masks are drawn by hand or by networks: the object may reach this far beyond them, in pixels of the image.
MASK_SLACK = 1.5
# Larger masks say no more on a lattice of a few hundred steps.
LONGEST_SIDE = 1024
# Fraction of the masks that may be wrong, and fraction of the views that must have a point in their frame for it to count.
WRONG_FRACTION, VISIBLE_FRACTION = 0.02, 0.1
# More views than these, from all around, hardly cut anything away.
MOST_VIEWS = 100
# Vertices further outside of the ball than so many steps have their distance to it alone: no surface comes there.
AROUND_BALL = 3


def hull_values(scene: Scene, resolution: int) -> np.ndarray:
    """(P, P, P) float32, negative where the object can be, at vertices linspace(-1, 1, P) indexed [x, y, z].

    Without masks the ball of radius 0.98, as far as enough views have it in their frames. With masks, a vertex's value
    is its signed distance to the outline of the mask that puts it furthest outside, times its depth over the focal
    length: a distance in scene units close to the surface, elsewhere at most the distance. A fraction of the masks may be
    wrong, and those that have the vertex outside of their frame say nothing. Well outside of the ball its distance counts alone.
    Of many views at most 100 count, from all around.
    """
    axis = np.linspace(-1.0, 1.0, resolution, dtype=np.float32)
    scene = scene.subset([v for v in range(len(scene)) if scene.masks is None or scene.masks[v].any()])
    views = [_outline(scene, view) for view in spread_views(scene, MOST_VIEWS)]
    values = np.empty((resolution,) * 3, dtype=np.float32)

    def fill(index: int) -> None:
        values[index] = _slab(axis[index], axis, views)

    run_tasks(fill, [(index,) for index in range(resolution)])
    return values


def spread_views(scene: Scene, most: int) -> list[int]:
    """At most so many views, in the scene's order, whose cameras are far from each other: each next one farthest from those chosen.

    All views if there are no more.
    """
    if len(scene) <= most:
        return list(range(len(scene)))
    centers = scene.camera_to_scene[:, :3, 3].numpy()
    chosen = [0]
    distances = np.linalg.norm(centers - centers[0], axis=-1)
    while len(chosen) < most:
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.linalg.norm(centers - centers[chosen[-1]], axis=-1))
        distances[chosen] = -1.0  # several cameras may have one position
    return sorted(chosen)


def _outline(scene: Scene, view: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Projection (3, 4), signed distances (H, W) to the outline in pixels, positive outside, and focal length."""
    camera = scene.camera(view)
    mask = np.zeros((camera.height, camera.width), bool) if scene.masks is None else scene.masks[view]
    small, shrunk = reduced(camera, mask, LONGEST_SIDE)
    focal = float(small.intrinsics[0, 0] + small.intrinsics[1, 1]) / 2
    if scene.masks is None:
        return projection(small), np.full((small.height, small.width), -1e4, dtype=np.float32), focal
    slack = MASK_SLACK * small.width / camera.width
    return projection(small), _signed_pixels(shrunk > 127) - np.float32(slack), focal


def _signed_pixels(mask: np.ndarray) -> np.ndarray:
    """(H, W) distances of pixel centres to the border of a mask, half way between pixels, positive outside."""
    if mask.all():
        return np.full(mask.shape, -float(max(mask.shape)), dtype=np.float32)
    outside, inside = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (~mask, mask)
    )
    return np.where(mask, 0.5 - inside, outside - 0.5)


def _slab(x: np.float32, axis: np.ndarray, views: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """(P, P) values at the vertices of one x; masks are read only for vertices not far outside of the ball."""
    step = axis[1] - axis[0]
    y, z = axis[:, None], axis[None, :]
    values = np.sqrt(x * x + y * y + z * z) - np.float32(BALL_RADIUS)
    places = np.nonzero(values < AROUND_BALL * step)
    ball, y, z = values[places], axis[places[0]], axis[places[1]]
    # The largest distances so far, in falling order: the wrong masks' and the one that counts.
    largest = np.full((int(WRONG_FRACTION * len(views)) + 1, len(ball)), -np.inf, dtype=np.float32)
    n_visible = np.zeros(len(ball), dtype=np.int32)
    for matrix, distances, focal in views if len(ball) else []:
        across, down, depth = (row[0] * x + row[3] + row[1] * y + row[2] * z for row in matrix)
        height, width = distances.shape
        safe = np.maximum(depth, np.float32(1e-6))
        columns, rows = across / safe, down / safe
        seen = (
            (depth > 0) & (abs(columns - (width - 1) / 2) <= width / 2) & (abs(rows - (height - 1) / 2) <= height / 2)
        )
        n_visible += seen
        found = cv2.remap(distances, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(-1)
        found = np.where(seen, found * depth / np.float32(focal), np.float32(-np.inf))
        for rank in range(len(largest)):
            larger = np.maximum(largest[rank], found)
            found = np.minimum(largest[rank], found)
            largest[rank] = larger
    rank = (WRONG_FRACTION * n_visible).astype(np.int64)
    outlines = np.take_along_axis(largest, rank[None], axis=0)[0]
    # What hardly any view sees cannot be reconstructed: one step outside, so that the surface closes there.
    unobserved = np.where(n_visible < VISIBLE_FRACTION * len(views), step, np.float32(-np.inf))
    values[places] = np.maximum(np.maximum(outlines, unobserved), ball)
    return values
