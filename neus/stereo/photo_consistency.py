"""Whether images agree on the colours of a shape's skin, vertex by vertex of a lattice."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from neus.geometry.cameras import projection
from neus.kernels.threads import run_tasks
from neus.scenes.scene import Scene
from neus.stereo.plane_sweep import LONGEST_SIDE

# A vertex counts as seen if nothing lies further before it than so many steps.
TOLERANCE = 1.5
# Views that look along the skin see it foreshortened, and where it begins is not known: least cosine to the normal.
LEAST_COSINE = 0.1
# Fewer views agree by chance.
N_VIEWS = 2
# Variances of grey levels, summed over the channels, that are no contradiction: of noise and compression, of texture within
# a pixel's neighbourhood, and of light that changes with the view, as a fraction of the colour.
NOISE, TEXTURE_FRACTION, LIGHT_FRACTION = 3 * 3.0**2, 1.0, 0.06
# Half width, in steps, of the cube over whose skin the evidence is summed: single vertices agree by chance.
PATCH = 2
NORMAL_SMOOTHING = 1.5
ROW = 1024


@dataclass(frozen=True)
class ColorView:
    """A small image.

    Attributes:
        matrix: (3, 4) float32 from the scene to homogeneous pixels, centres at integers.
        center: (3,) the camera's place in the scene.
        colors: (H, W, 4) float32: RGB, 0 to 255, and the variance of the 3x3 window, summed over the channels.
        is_object: (H, W) bool: pixels of the object.
    """

    matrix: np.ndarray
    center: np.ndarray
    colors: np.ndarray
    is_object: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """What the images say of N vertices.

    Attributes:
        own: (N,) variance between the views over what noise and texture explain, clearly below 1 on a true surface; NaN where
            too few views see the vertex.
        disagreement: (N,) the same over the skin in a patch about the vertex; NaN where too few views see any of it.
        n_views: (N,) views that see the vertex well.
    """

    own: np.ndarray
    disagreement: np.ndarray
    n_views: np.ndarray


def color_views(scene: Scene, longest_side: int = LONGEST_SIDE) -> list[ColorView]:
    """The scene's images at the size of the sweep, or another."""
    views: list[ColorView] = [None] * len(scene)  # type: ignore[list-item]

    def shrink(index: int) -> None:
        camera = scene.camera(index)
        small = camera.scaled(min(1.0, longest_side / max(camera.width, camera.height)))
        size = (small.width, small.height)
        image = cv2.resize(scene.images[index], size, interpolation=cv2.INTER_AREA).astype(np.float32)
        mean = cv2.blur(image, (3, 3))
        variance = np.maximum(cv2.blur(image * image, (3, 3)) - mean * mean, 0.0).sum(-1, keepdims=True)
        is_object = np.ones(image.shape[:2], dtype=bool)
        if scene.masks is not None:
            mask = scene.masks[index].astype(np.uint8) * 255
            is_object = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127
        center = scene.camera_to_scene[index, :3, 3].numpy().astype(np.float32)
        views[index] = ColorView(projection(small), center, np.concatenate([image, variance], axis=-1), is_object)

    run_tasks(shrink, [(index,) for index in range(len(scene))])
    return views


class SkinObserver:
    """Compares the colours that the views see on a skin.

    Parts of the skin that stay are noted once (`hide_behind`), so that looking at the rest takes milliseconds.
    """

    def __init__(self, views: list[ColorView], resolution: int) -> None:
        self.views, self.axis = views, np.linspace(-1.0, 1.0, resolution, dtype=np.float32)
        self.step = float(self.axis[1] - self.axis[0])
        self.nearest = [np.full(view.is_object.shape, np.inf, dtype=np.float32) for view in views]

    def hide_behind(self, places: np.ndarray) -> None:
        """From now on the vertices at `places` (N, 3) are before whatever lies behind them."""
        points = np.ascontiguousarray(self.axis[places].T)

        def note(index: int) -> None:
            _lower(self.nearest[index], *_projected(points, self.views[index]))

        run_tasks(note, [(index,) for index in range(len(self.views))])

    def look(self, places: np.ndarray, inside: np.ndarray) -> Agreement:
        """What the views say of the skin at `places` (N, 3) of a shape (P, P, P), averaged over patches of it.

        They hide each other, and hide behind what was noted before.
        """
        points = np.ascontiguousarray(self.axis[places].T)
        normals = _normals(inside, places)
        colors = np.empty((len(self.views), len(places), 4), dtype=np.float32)
        weights = np.zeros((len(self.views), len(places)), dtype=np.float32)

        def observe(index: int) -> None:
            view = self.views[index]
            columns, rows, depth = _projected(points, view)
            nearest = self.nearest[index].copy()
            _lower(nearest, columns, rows, depth)
            # A vertex stands for a cell about it: about one pixel, often a little more.
            nearest = cv2.erode(nearest, np.ones((3, 3), dtype=np.uint8))
            pixels = tuple(np.clip(np.rint(x).astype(np.int32), 0, size - 1)
                           for x, size in zip((rows, columns), nearest.shape, strict=True))  # fmt: skip
            height, width = nearest.shape
            is_visible = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1) & (depth > 0)
            is_visible &= (depth <= nearest[pixels] + TOLERANCE * self.step) & view.is_object[pixels]
            toward = view.center[:, None] - points
            cosines = (toward * normals.T).sum(0) / np.linalg.norm(toward, axis=0)
            weights[index] = np.where(is_visible & (cosines > LEAST_COSINE), cosines, 0.0)
            colors[index] = _sampled(view.colors, columns, rows)

        run_tasks(observe, [(index,) for index in range(len(self.views))])
        found, explained = _variances(colors, weights)
        n_views = (weights > 0).sum(axis=0)
        counts = n_views >= N_VIEWS
        own = np.where(counts, found / explained, np.nan)
        found, explained = _over_patches(places, counts, (found, explained))
        # Running sums leave dust where nothing counts.
        ratio = np.divide(found, explained, out=np.full(len(places), np.nan), where=explained > 1e-3 * NOISE)
        return Agreement(own, ratio, n_views)


def _projected(points: np.ndarray, view: ColorView) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, rows and depths (N,) of points (3, N), as finite numbers."""
    homogeneous = view.matrix[:, :3] @ points + view.matrix[:, 3:]
    safe = np.maximum(homogeneous[2], np.float32(1e-6))
    columns, rows = (np.clip(part / safe, -9.0, 9999.0) for part in homogeneous[:2])
    return columns, rows, homogeneous[2]


def _lower(nearest: np.ndarray, columns: np.ndarray, rows: np.ndarray, depth: np.ndarray) -> None:
    """Lowers a depth buffer (H, W) in place to the depths of points."""
    height, width = nearest.shape
    columns, rows = np.rint(columns).astype(np.int32), np.rint(rows).astype(np.int32)
    kept = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height) & (depth > 0)
    np.minimum.at(nearest.reshape(-1), rows[kept] * width + columns[kept], depth[kept])


def _sampled(image: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, C) an image (H, W, C) between its pixels, in rows of a table since OpenCV's images have at most 32767."""
    n = len(columns)
    table = np.zeros((2, -(-n // ROW), ROW), dtype=np.float32)
    table.reshape(2, -1)[:, :n] = columns, rows
    found = cv2.remap(image, table[0], table[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(-1, image.shape[-1])[:n]


def _normals(inside: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals, outwards, of a shape (P, P, P) at vertices (N, 3)."""
    corner, far = places.min(axis=0) - 4, places.max(axis=0) + 5
    box = tuple(slice(max(low, 0), high) for low, high in zip(corner, far, strict=True))
    smooth = ndimage.gaussian_filter(inside[box].astype(np.float32), NORMAL_SMOOTHING, truncate=2.5)
    at = tuple((places - np.maximum(corner, 0)).T)
    normals = -np.stack([np.gradient(smooth, axis=axis)[at] for axis in range(3)], axis=-1)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)


def _variances(colors: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) variance of colours (V, N, 4) between views of weight (V, N), and what of it needs no contradiction."""
    total = np.maximum(weights.sum(axis=0), 1e-6)
    fractions = weights / total
    mean = np.einsum("vn,vnc->nc", fractions, colors)
    squares = np.einsum("vn,vnc->n", fractions, np.square(colors[..., :3] - mean[:, :3]))
    # Of weighted samples a mean takes away its fraction of the variance.
    found = squares / np.maximum(1.0 - np.square(fractions).sum(axis=0), 0.1)
    explained = NOISE + TEXTURE_FRACTION * mean[:, 3] + LIGHT_FRACTION**2 * np.square(mean[:, :3]).sum(-1)
    return found, explained


def _over_patches(places: np.ndarray, counts: np.ndarray, parts: tuple) -> list[np.ndarray]:
    """Sums (N,) of each part (N,) over the places (N, 3) that count (N,) within a patch of each."""
    corner = places.min(axis=0)
    size = places.max(axis=0) - corner + 1
    at = tuple((places - corner).T)
    sums = []
    for part in parts:
        volume = np.zeros(size, dtype=np.float32)
        volume[at] = np.where(counts, part, 0.0)
        smooth = ndimage.uniform_filter(volume, 2 * PATCH + 1, mode="constant")
        sums.append(smooth[at])
    return sums
