"""Depths of small images by plane sweep, kept only where they are sure and other views agree."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from neus.geometry.cameras import Camera, projection
from neus.kernels.threads import run_tasks
from neus.scenes.scene import Scene

# Small images: windows see the same patch of the object from further apart, and a scene takes seconds.
LONGEST_SIDE = 200
WINDOW = 7
# Neighbours are as far apart as possible while patches still look alike, in degrees between viewing directions.
N_NEIGHBOURS, BEST_ANGLE, LEAST_ANGLE, LARGEST_ANGLE = 6, 16.0, 4.0, 50.0
# Steps of a pixel in the median neighbour, within limits of time and of what a parabola can mend.
PIXELS_PER_STEP, LEAST_PLANES, MOST_PLANES, PLANES_AT_ONCE = 1.0, 32, 128, 16
# A depth is sure if its windows correlate, clearly better than at any other depth, and have something to correlate.
LEAST_SCORE, LEAST_MARGIN, LEAST_CONTRAST = 0.65, 0.08, 2.0
# Fewer pixels at about one depth are more often a glint or a coincidence than a part of the object.
LEAST_PATCH, PATCH_STEPS = 16, 2.0
# Grey levels squared added to variances: noise alone does not correlate.
NOISE = 2.0
# Depths agree that differ by less than this fraction; this many other views have to.
AGREEMENT, N_AGREEING, N_COMPARED = 0.012, 2, 10


@dataclass(frozen=True)
class DepthMap:
    """What a view knows of the surface.

    Attributes:
        matrix: (3, 4) float32 from the scene to homogeneous pixels, centres at integers.
        depths: (H, W) float32 along the camera's z, scene units, NaN where nothing is sure.
    """

    matrix: np.ndarray
    depths: np.ndarray


@dataclass(frozen=True)
class _View:
    camera: Camera
    matrix: np.ndarray  # (3, 4) as in DepthMap
    grey: np.ndarray  # (H, W) float32, 0 to 255
    allowed: np.ndarray  # (H, W) bool: pixels that may show the object
    span: tuple[float, float]  # nearest and farthest depth

    def backprojection(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (3, 3) and offset (3,): the point in the scene at depth z of pixel (u, v) is z M (u, v, 1) + c."""
        inverse = np.linalg.inv(self.matrix[:, :3].astype(np.float64))
        return inverse, -inverse @ self.matrix[:, 3]


def sweep_depths(scene: Scene, spans: np.ndarray, on_progress: Callable[[float], None] | None = None) -> list[DepthMap]:
    """A depth map for each view of the scene.

    The neighbours' images are brought onto planes parallel to the view's own and compared to it by zero-mean
    normalised cross correlation in small windows (Collins 1996); of the neighbours the better half counts at every
    place, for the others may not see it. A parabola through the best score refines the depth below the step.

    Args:
        scene: its masks, if any, say where depths are looked for.
        spans: (V, 2) nearest and farthest depth of each view, scene units.
        on_progress: receives the fraction of the views that are done.
    """
    views = [_view(scene, view, tuple(spans[view])) for view in range(len(scene))]
    angles = _angles(scene)
    depths: list[np.ndarray] = [np.empty(0)] * len(views)

    def sweep(index: int) -> None:
        neighbours = [views[other] for other in _neighbours(angles[index])]
        depths[index] = _sweep(views[index], neighbours)
        if on_progress:
            on_progress(sum(len(found) > 0 for found in depths) / len(views))

    run_tasks(sweep, [(index,) for index in range(len(views))])
    asked = [[other for other in np.argsort(row, kind="stable")[1 : N_COMPARED + 1]] for row in angles]
    kept = [_agreed(view, depths[v], [(views[o], depths[o]) for o in asked[v]]) for v, view in enumerate(views)]
    return [DepthMap(view.matrix, depth) for view, depth in zip(views, kept, strict=True)]


def small_masks(scene: Scene) -> list[DepthMap]:
    """The masks at the size of the sweep, 1 on the object and 0 elsewhere in place of depths."""
    cameras = [_small(scene, view) for view in range(len(scene))]
    return [DepthMap(projection(c), _allowed(scene, v, c).astype(np.float32)) for v, c in enumerate(cameras)]


def _view(scene: Scene, index: int, span: tuple[float, float]) -> _View:
    small = _small(scene, index)
    grey = cv2.cvtColor(scene.images[index], cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (small.width, small.height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _View(small, projection(small), grey, _allowed(scene, index, small), span)


def _small(scene: Scene, index: int) -> Camera:
    camera = scene.camera(index)
    return camera.scaled(min(1.0, LONGEST_SIDE / max(camera.width, camera.height)))


def _allowed(scene: Scene, index: int, small: Camera) -> np.ndarray:
    """(H, W) bool at the size of the smaller camera: the mask, or all True."""
    if scene.masks is None:
        return np.ones((small.height, small.width), dtype=bool)
    mask, size = scene.masks[index].astype(np.uint8) * 255, (small.width, small.height)
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127


def _angles(scene: Scene) -> np.ndarray:
    """(V, V) degrees between the directions from the scene's centre to the cameras; a view is nearest to itself."""
    toward = scene.camera_to_scene[:, :3, 3].numpy()
    toward = toward / np.linalg.norm(toward, axis=-1, keepdims=True)
    angles = np.degrees(np.arccos(np.clip(toward @ toward.T, -1.0, 1.0)))
    np.fill_diagonal(angles, -1.0)
    return angles


def _neighbours(angles: np.ndarray) -> np.ndarray:
    """The views whose angles (V,) come nearest to the best one, by ratio."""
    usable = np.flatnonzero((angles >= LEAST_ANGLE) & (angles <= LARGEST_ANGLE))
    return usable[np.argsort(abs(np.log(angles[usable] / BEST_ANGLE)), kind="stable")][:N_NEIGHBOURS]


def _sweep(view: _View, neighbours: list[_View]) -> np.ndarray:
    """(H, W) depths of a view, NaN where nothing is sure."""
    nothing = np.full(view.grey.shape, np.nan, dtype=np.float32)
    if not neighbours or not view.allowed.any() or not 0.0 < view.span[0] < view.span[1]:
        return nothing
    rows, columns = (slice(*_reach(view.allowed.any(axis=axis))) for axis in (1, 0))
    corner = (columns.start, rows.start)
    inverse_depths = _inverse_depths(view, neighbours)
    grey = np.ascontiguousarray(view.grey[rows, columns])
    mean = _box(grey)
    variance = np.maximum(_box(grey * grey) - mean * mean, 0.0)
    scores = np.concatenate(
        [
            _scores(view, neighbours, batch, corner, (grey, mean, variance))
            for batch in np.split(inverse_depths, range(PLANES_AT_ONCE, len(inverse_depths), PLANES_AT_ONCE))
        ]
    )
    place, is_sure = _best(scores)
    is_sure &= (variance > LEAST_CONTRAST**2) & view.allowed[rows, columns]
    is_sure &= _in_patch(place, is_sure)
    found = 1.0 / np.interp(place, np.arange(len(inverse_depths)), inverse_depths)
    nothing[rows, columns] = np.where(is_sure, found, np.nan)
    return nothing


def _reach(used: np.ndarray) -> tuple[int, int]:
    places = np.flatnonzero(used)
    return max(0, int(places[0]) - WINDOW), int(places[-1]) + 1 + WINDOW


def _inverse_depths(view: _View, neighbours: list[_View]) -> np.ndarray:
    """(D,) even steps from near to far, of about a pixel at the view's centre in the median neighbour."""
    near, far = view.span
    matrix, offset = view.backprojection()
    middle = matrix @ np.array([view.camera.width / 2, view.camera.height / 2, 1.0])
    ends = np.stack([near * middle + offset, far * middle + offset, [0.0] * 3], axis=-1)
    moves = []
    for other in neighbours:
        pixels = other.matrix[:, :3].astype(np.float64) @ ends + other.matrix[:, 3:]
        pixels = pixels[:2] / np.maximum(pixels[2], 1e-6)
        moves.append(np.linalg.norm(pixels[:, 0] - pixels[:, 1]))
    n_planes = int(np.clip(np.median(moves) / PIXELS_PER_STEP, LEAST_PLANES, MOST_PLANES))
    return np.linspace(1.0 / near, 1.0 / far, n_planes)


def _scores(view: _View, neighbours: list[_View], inverse_depths: np.ndarray, corner: tuple, reference: tuple):
    """(D, H, W) mean correlation with the better half of the neighbours on planes at the given inverse depths."""
    grey, mean, variance = reference
    height, width = grey.shape
    n_best = (len(neighbours) + 1) // 2
    best = np.full((n_best, len(inverse_depths), height, width), -1.0, dtype=np.float32)
    matrix, offset = view.backprojection()
    shift = np.array([[1.0, 0.0, corner[0]], [0.0, 1.0, corner[1]], [0.0, 0.0, 1.0]])
    warped = np.empty((len(inverse_depths), height, width), dtype=np.float32)
    for other in neighbours:
        to_other = other.matrix[:, :3].astype(np.float64)
        turn, parallax = to_other @ matrix @ shift, to_other @ offset + other.matrix[:, 3]
        for plane, inverse_depth in enumerate(inverse_depths):
            homography = turn + inverse_depth * np.outer(parallax, [0.0, 0.0, 1.0])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            cv2.warpPerspective(other.grey, homography, (width, height), warped[plane], flags)
        score = _correlation(warped, grey, mean, variance)
        for rank in range(n_best):
            larger = np.maximum(best[rank], score)
            np.minimum(best[rank], score, out=score)
            best[rank] = larger
    return best.mean(axis=0)


def _correlation(warped: np.ndarray, grey: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(D, H, W) zero-mean normalised cross correlation of windows of D images with those of one."""
    n_planes, height, width = warped.shape
    # One tall image for all planes: only windows at the seams, which are at the border anyway, mix two of them.
    tall = warped.reshape(n_planes * height, width)
    their_mean = _box(tall).reshape(warped.shape)
    their_variance = _box(tall * tall).reshape(warped.shape) - their_mean * their_mean
    both = _box((warped * grey).reshape(tall.shape)).reshape(warped.shape) - their_mean * mean
    return both / np.sqrt((np.maximum(their_variance, 0.0) + NOISE) * (variance + NOISE))


def _box(image: np.ndarray) -> np.ndarray:
    return cv2.blur(image, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)


def _best(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (H, W) of the best scores (D, H, W), between planes, and bool (H, W): whether they are sure."""
    top = scores.argmax(axis=0)
    n_planes = len(scores)
    inner = np.clip(top, 1, n_planes - 2)
    before, here, after = (np.take_along_axis(scores, (inner + i)[None], axis=0)[0] for i in (-1, 0, 1))
    bend = before - 2.0 * here + after
    offset = np.where(bend < -1e-6, 0.5 * (before - after) / np.minimum(bend, -1e-6), 0.0)
    # The second best is another peak: beyond the flanks of the first.
    away = abs(np.arange(n_planes)[:, None, None] - top) > 3
    second = np.where(away, scores, np.float32(-1.0)).max(axis=0)
    is_sure = (top == inner) & (here > LEAST_SCORE) & (here - second > LEAST_MARGIN)
    return inner + np.clip(offset, -0.5, 0.5), is_sure


def _in_patch(places: np.ndarray, is_sure: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether sure places (H, W), in steps, belong to a patch of many pixels that hang together."""
    sixteenths = np.where(is_sure, np.rint(16.0 * places), -1000.0).astype(np.int16)
    cv2.filterSpeckles(sixteenths, -1000, LEAST_PATCH, 16.0 * PATCH_STEPS)
    return sixteenths > -1000


def _agreed(view: _View, depths: np.ndarray, others: list[tuple[_View, np.ndarray]]) -> np.ndarray:
    """(H, W) depths, those that fewer than two other views' depths agree with replaced by NaN."""
    rows, columns = np.nonzero(np.isfinite(depths))
    matrix, offset = view.backprojection()
    found = depths[rows, columns].astype(np.float64)
    points = found * (matrix @ np.stack([columns, rows, np.ones(len(rows))])) + offset[:, None]
    n_agreeing = np.zeros(len(rows), dtype=np.int32)
    for other, their_depths in others:
        depth, theirs = sampled_depths(points, other.matrix, their_depths)
        n_agreeing += abs(theirs - depth) < AGREEMENT * depth
    kept = np.full_like(depths, np.nan)
    keeps = n_agreeing >= N_AGREEING
    kept[rows[keeps], columns[keeps]] = depths[rows[keeps], columns[keeps]]
    return kept


def sampled_depths(points: np.ndarray, matrix: np.ndarray, depths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths (N,) of points (3, N), and those (N,) that a map (H, W) has at their nearest pixels, NaN out of frame."""
    height, width = depths.shape
    homogeneous = matrix[:, :3].astype(points.dtype) @ points + matrix[:, 3:].astype(points.dtype)
    depth = homogeneous[2]
    safe = np.maximum(depth, 1e-6)
    columns, rows = (np.rint(np.clip(part / safe, -2.0, size + 1.0)).astype(np.int32) for part, size in
                     zip(homogeneous[:2], (width, height), strict=True))  # fmt: skip
    is_visible = (depth > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    seen = depths[np.where(is_visible, rows, 0), np.where(is_visible, columns, 0)]
    return depth, np.where(is_visible, seen, np.nan)
