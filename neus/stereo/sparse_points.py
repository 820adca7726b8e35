"""Points triangulated from matches of neighbouring images, tested against the masks."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.geometry.cameras import projection
from neus.scenes.scene import Scene
from neus.stereo.epipolar import fundamental, sampson_distances, tolerance
from neus.stereo.matches import PairMatches

# Rays that meet at a smaller angle than this say little about how far away their point is, degrees; nor at less than so
# many times the angle that the tolerance of a match spans in small images.
LEAST_ANGLE, TOLERANCES = 2.0, 10.0
# Masks may be off by this fraction of the image's longer side before a point counts as outside of one, and by so many pixels.
SLACK, LEAST_SLACK = 0.012, 3
# So few points outside of a mask may be matched wrongly.
STRAYS = 5


@dataclass(frozen=True)
class SparsePoints:
    """Points that two images show at pixels that fit their cameras.

    Attributes:
        points: (P, 3) float64, scene units.
        views: (P, 2) the two views of each.
        pixels: (P, 2, 2) where they show it, centres at +0.5.
    """

    points: NDArray
    views: NDArray
    pixels: NDArray


def triangulated(scene: Scene, pairs: list[PairMatches], without: set[int]) -> SparsePoints:
    """The points of all pairs of views that are not in `without`: nearest to both rays, ahead of both cameras."""
    points, views, pixels = [np.zeros((0, 3))], [np.zeros((0, 2), np.int64)], [np.zeros((0, 2, 2))]
    for pair in pairs:
        if pair.first in without or pair.second in without:
            continue
        agreed = pair.pixels[:, : pair.agreed]
        distances = sampson_distances(fundamental(scene, pair.first, pair.second), agreed)
        pixels_off = tolerance(scene, pair.first, pair.second)
        agreed = agreed[:, distances <= pixels_off]
        angle_off = pixels_off / float(scene.intrinsics[[pair.first, pair.second], 0, 0].min())
        least = max(np.radians(LEAST_ANGLE), min(TOLERANCES * angle_off, np.pi / 4))
        rays = (*_rays(scene, pair.first, agreed[0]), *_rays(scene, pair.second, agreed[1]))
        found, is_sound = _nearest_to_rays(*rays, least)
        points.append(found[is_sound])
        views.append(np.tile([pair.first, pair.second], (is_sound.sum(), 1)))
        pixels.append(agreed[:, is_sound].transpose(1, 0, 2))
    return SparsePoints(np.concatenate(points), np.concatenate(views), np.concatenate(pixels))


def on_object(scene: Scene, sparse: SparsePoints) -> NDArray:
    """(P,) bool: whether both views that show a point have it in their masks; all True without masks."""
    label = np.ones(len(sparse.points), bool)
    for view in range(len(scene) if scene.masks is not None else 0):
        for end in range(2):
            shown = np.flatnonzero(sparse.views[:, end] == view)
            height, width = scene.masks[view].shape
            columns, rows = np.floor(sparse.pixels[shown, end]).astype(int).T
            label[shown] &= scene.masks[view][rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return label


def outside_masks(scene: Scene, sparse: SparsePoints, fewest: int = 20) -> NDArray:
    """(V,) fraction of the object's points, as other views have them, that fall outside of a view's mask.

    A point of the object lies in every mask, seen or hidden. Fewer than `STRAYS` outside count as none. NaN for views with
    fewer than `fewest` points in the frame.
    """
    label = on_object(scene, sparse)
    points, views = sparse.points[label], sparse.views[label]
    fractions = np.full(len(scene), np.nan)
    for view in range(len(scene)):
        is_others = (views != view).all(axis=-1)
        across, down, depth = projection(scene.camera(view)).astype(np.float64) @ np.concatenate(
            [points[is_others].T, np.ones((1, is_others.sum()))]
        )
        columns, rows = (np.rint(part / np.maximum(depth, 1e-9)).clip(-1, 1e6).astype(int) for part in (across, down))
        height, width = scene.masks[view].shape
        is_visible = (depth > 0) & (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
        if is_visible.sum() >= fewest:
            reach = 2 * max(LEAST_SLACK, round(SLACK * max(height, width))) + 1
            wide = cv2.dilate(scene.masks[view].astype(np.uint8), np.ones((reach, reach), np.uint8))
            is_outside = wide[rows[is_visible], columns[is_visible]] == 0
            fractions[view] = is_outside.mean() if is_outside.sum() >= STRAYS else 0.0
    return fractions


def _rays(scene: Scene, view: int, pixels: NDArray) -> tuple[NDArray, NDArray]:
    """The camera's centre (3,) and unit directions (M, 3) in the scene frame."""
    pose = scene.camera_to_scene[view].numpy()
    ahead = (
        np.concatenate([pixels, np.ones_like(pixels[:, :1])], axis=-1) @ np.linalg.inv(scene.intrinsics[view].numpy()).T
    )
    directions = ahead @ pose[:3, :3].T
    return pose[:3, 3], directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def _nearest_to_rays(
    origin: NDArray, ahead: NDArray, other: NDArray, other_ahead: NDArray, least: float
) -> tuple[NDArray, NDArray]:
    """(M, 3) middle between two rays where they pass closest, and (M,) whether that lies ahead, at `least` radians."""
    between, cosine = other - origin, (ahead * other_ahead).sum(-1)
    sine_squared = np.maximum(1.0 - cosine**2, 1e-12)
    along, other_along = ahead @ between, other_ahead @ between
    t = (along - cosine * other_along) / sine_squared
    other_t = (cosine * along - other_along) / sine_squared
    middle = (origin + t[:, None] * ahead + other + other_t[:, None] * other_ahead) / 2
    return middle, (t > 0) & (other_t > 0) & (sine_squared > np.sin(least) ** 2)
