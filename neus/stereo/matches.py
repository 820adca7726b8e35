"""Correspondences between neighbouring images, found without cameras: SIFT, mutual ratio test."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.kernels.threads import run_tasks
from neus.scenes.scene import Scene

# Longer side of the grey images and features in each: enough for hundreds of matches in a tenth of a second.
SIDE, N_FEATURES = 640, 1500
# Lowe's ratio; matches must be each other's best too.
RATIO = 0.8
# Neighbours of each view in `neighbour_pairs`; with very many views each has closer ones, and fewer do.
N_NEIGHBOURS, MANY_VIEWS, N_NEIGHBOURS_OF_MANY = 5, 120, 3
# RANSAC: distance from an epipolar line as a fraction of the extent of the matches, and how often it tries.
RANSAC_TOLERANCE, MOST_TRIALS = 1.5e-3, 1000
# Views in fewer pairs are matched with all others, unless there are many of them.
ENOUGH_PAIRS, MOST_LOST = 2, 8
# Fewer matches than these say nothing about a pair.
FEWEST = 15


@dataclass(frozen=True)
class PairMatches:
    """Correspondences between two images.

    Attributes:
        first, second: the views.
        pixels: (2, M, 2) float64 in the two images, centres at +0.5, in their own pixels.
        colors: (2, M, 3) float32 RGB in [0, 1] around those pixels.
        agreed: how many of them agree with any one motion of a camera (RANSAC); those stand first.
    """

    first: int
    second: int
    pixels: NDArray
    colors: NDArray
    agreed: int


def neighbour_pairs(scene: Scene) -> list[tuple[int, int]]:
    """Each view with the nearest others: by position and direction of the cameras, as given; and the next in order.

    Wrong cameras name wrong neighbours; the next in order are neighbours in most captures even so.
    """
    n = len(scene)
    centers = scene.camera_to_scene[:, :3, 3].numpy()
    spread = np.median(np.linalg.norm(centers - np.median(centers, axis=0), axis=-1)) + 1e-12
    axes = scene.camera_to_scene[:, :3, 2].numpy()
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=-1) / spread
    distances = distances + np.linalg.norm(axes[:, None] - axes[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    count = min(n - 1, N_NEIGHBOURS if n <= MANY_VIEWS else N_NEIGHBOURS_OF_MANY)
    pairs = {(min(v, int(w)), max(v, int(w))) for v in range(n) for w in np.argsort(distances[v])[:count]}
    return sorted(pairs | {(view, view + 1) for view in range(n - 1)})


def match_neighbours(scene: Scene) -> list[PairMatches]:
    """What neighbouring views have in common, for those pairs that have enough of it.

    Views with next to no matches with their neighbours may be assigned to wrong cameras: those are matched with all others.
    """
    count = N_FEATURES if len(scene) <= MANY_VIEWS else N_FEATURES // 2
    features: list = [None] * len(scene)

    def find(view: int) -> None:
        features[view] = _features(scene.images[view], count)

    run_tasks(find, [(view,) for view in range(len(scene))])
    pairs = neighbour_pairs(scene)
    found = _match_pairs(features, pairs)
    n_found = np.bincount([view for pair in found for view in (pair.first, pair.second)], minlength=len(scene))
    lost = np.flatnonzero(n_found < ENOUGH_PAIRS).tolist()
    if len(lost) > MOST_LOST:
        return found
    others = range(0, len(scene), 1 + len(scene) // MANY_VIEWS)
    more = {(min(view, other), max(view, other)) for view in lost for other in others if view != other}
    return found + _match_pairs(features, sorted(more - set(pairs)))


def _match_pairs(features: list, pairs: list[tuple[int, int]]) -> list[PairMatches]:
    matches: list[PairMatches | None] = [None] * len(pairs)

    def match(index: int, first: int, second: int) -> None:
        matches[index] = _matches(first, second, features[first], features[second])

    run_tasks(match, [(index, *pair) for index, pair in enumerate(pairs)])
    return [match for match in matches if match is not None]


def _features(image: NDArray, count: int) -> tuple[NDArray, NDArray, NDArray]:
    """Positions (n, 2) in pixels of the image, descriptors (n, 128), mean colours around them (n, 3)."""
    factor = min(1.0, SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # Dark images have features too.
    sift = cv2.SIFT_create(nfeatures=count, contrastThreshold=0.02)
    try:
        keypoints, descriptors = sift.detectAndCompute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), None)
    except cv2.error:  # images of a few pixels
        keypoints = ()
    if not keypoints:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32), np.zeros((0, 3), np.float32)
    places = np.array([point.pt for point in keypoints], np.float64)
    # Roots of normed descriptors compare better than the descriptors themselves (Arandjelovic & Zisserman 2012).
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    columns, rows = np.rint(places).astype(int).T
    blurred = cv2.GaussianBlur(small, (0, 0), 2.0)
    colors = blurred[rows.clip(0, size[1] - 1), columns.clip(0, size[0] - 1)].astype(np.float32) / 255.0
    stretch = np.array([image.shape[1] / size[0], image.shape[0] / size[1]])
    return (places + 0.5) * stretch, descriptors, colors


def _matches(first: int, second: int, one: tuple, other: tuple) -> PairMatches | None:
    if min(len(one[0]), len(other[0])) < FEWEST:
        return None
    likeness = one[1] @ other[1].T
    forth, back = likeness.argmax(axis=1), likeness.argmax(axis=0)
    best = likeness[np.arange(len(forth)), forth]
    likeness[np.arange(len(forth)), forth] = -1.0
    runner_up = likeness.max(axis=1)
    # Distances of unit vectors: squared, 2 - 2 cos.
    is_clear = (2.0 - 2.0 * best) <= RATIO**2 * (2.0 - 2.0 * runner_up)
    chosen = np.flatnonzero(is_clear & (back[forth] == np.arange(len(forth))))
    if len(chosen) < FEWEST:
        return None
    pixels = np.stack([one[0][chosen], other[0][forth[chosen]]])
    colors = np.stack([one[2][chosen], other[2][forth[chosen]]])
    reach = max(RANSAC_TOLERANCE * float(np.ptp(pixels.reshape(-1, 2), axis=0).max()), 0.5)
    agree = agreeing(pixels, reach)
    if agree.sum() < FEWEST:
        return None
    order = np.argsort(~agree, kind="stable")
    return PairMatches(first, second, pixels[:, order], colors[:, order], int(agree.sum()))


def agreeing(pixels: NDArray, reach: float) -> NDArray:
    """(M,) bool: which of the matches (2, M, 2) agree with one fundamental matrix; none where none can be estimated.

    MAGSAC, and where OpenCV raises on degenerate samples (few matches, in a line or at one point) plain RANSAC. Seeds are
    fixed within OpenCV: the same images give the same matches.

    Args:
        pixels: (2, M, 2) float64.
        reach: distance from an epipolar line, pixels.
    """
    for method in (cv2.USAC_MAGSAC, cv2.FM_RANSAC):
        try:
            _, agree = cv2.findFundamentalMat(pixels[0], pixels[1], method, reach, 0.999, MOST_TRIALS)
        except cv2.error:
            continue
        return np.zeros(pixels.shape[1], bool) if agree is None else agree.ravel() > 0
    return np.zeros(pixels.shape[1], bool)
