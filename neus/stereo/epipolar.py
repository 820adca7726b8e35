"""Do images and cameras belong together? Matches must lie on the epipolar lines of the cameras."""

import numpy as np
from numpy.typing import NDArray

from neus.scenes.scene import Scene
from neus.stereo.matches import PairMatches

# A match agrees with the cameras within this fraction of the image's longer side: 1.6 pixels of 800, several times the
# error of a careful calibration; and never within less than so many pixels, which is as well as features are located.
TOLERANCE, LEAST_TOLERANCE = 0.002, 1.0
# A pair fits if this fraction of what agrees with some motion agrees with the given one; right cameras reach 0.9, and
# chance alone about a tenth.
FITTING = 0.5
# A view with fewer pairs, or only one bad one, is never blamed: that may be the other view's fault.
FEWEST_PAIRS, FEWEST_BAD = 3, 2


def fundamental(scene: Scene, first: int, second: int) -> NDArray:
    """(3, 3) F with x2^T F x1 = 0 for homogeneous pixels of one point in two views (Hartley & Zisserman eq. 9.1).

    In rays: the direction to the point from the second camera, the one from the first, and the line between the centres
    lie in a plane.
    """
    k1, k2 = scene.intrinsics[first].numpy(), scene.intrinsics[second].numpy()
    p1, p2 = scene.camera_to_scene[first].numpy(), scene.camera_to_scene[second].numpy()
    x, y, z = p1[:3, 3] - p2[:3, 3]
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    back1, back2 = p1[:3, :3] @ np.linalg.inv(k1), p2[:3, :3] @ np.linalg.inv(k2)
    return back2.T @ cross @ back1


def sampson_distances(matrix: NDArray, pixels: NDArray) -> NDArray:
    """(M,) first-order distances in pixels of matches (2, M, 2) from agreeing with a fundamental matrix.

    |x2^T F x1| / sqrt(|F x1|^2 + |F^T x2|^2), first two components (Hartley & Zisserman eq. 11.9).
    """
    one, other = (np.concatenate([side, np.ones_like(side[:, :1])], axis=-1) for side in pixels)
    lines, back = one @ matrix.T, other @ matrix
    error = np.abs((other * lines).sum(axis=-1))
    return error / np.maximum(np.sqrt((lines[:, :2] ** 2).sum(-1) + (back[:, :2] ** 2).sum(-1)), 1e-12)


def tolerance(scene: Scene, first: int, second: int) -> float:
    """Distance from its epipolar line, in pixels, within which a match of two views agrees with their cameras."""
    longest = max(max(scene.sizes[view]) for view in (first, second))
    return max(TOLERANCE * longest, LEAST_TOLERANCE)


def pair_fit(scene: Scene, match: PairMatches, cameras: tuple[int, int] | None = None) -> float:
    """The fraction of a pair's agreeing matches that agree with the cameras of two views; those of the pair if None."""
    first, second = cameras or (match.first, match.second)
    distances = sampson_distances(fundamental(scene, first, second), match.pixels[:, : match.agreed])
    return float((distances <= tolerance(scene, match.first, match.second)).mean())


def misfits(n_views: int, pairs: list[tuple[int, int]], fits: list[float]) -> tuple[list[int], NDArray]:
    """Views whose image does not belong to its camera, worst first, and each view's fraction of pairs that do not fit.

    A wrong view spoils the pairs of its right neighbours as well. So the view with the largest fraction of bad pairs is
    taken away with its pairs, then the next, until no view has half of its pairs bad. Views with fewer than three pairs,
    or with one bad one, are not judged.
    """
    is_bad = np.array([fit < FITTING for fit in fits], bool)
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    n_pairs, n_misfits = (np.bincount(some.ravel(), minlength=n_views) for some in (ends, ends[is_bad]))
    is_judged = (n_pairs >= FEWEST_PAIRS) & (n_misfits >= FEWEST_BAD)
    alive, wrong, first_fractions = np.ones(len(ends), bool), [], None
    while True:
        n_all = np.bincount(ends[alive].ravel(), minlength=n_views)
        n_bad = np.bincount(ends[alive & is_bad].ravel(), minlength=n_views)
        fractions = np.where(n_all > 0, n_bad / np.maximum(n_all, 1), np.nan)
        first_fractions = fractions if first_fractions is None else first_fractions
        judged = np.where(is_judged & (n_all > 0), fractions, -1.0)
        if not n_views or judged.max() < 0.5:
            return wrong, first_fractions
        worst = max(range(n_views), key=lambda v: (judged[v], n_bad[v]))
        wrong.append(worst)
        alive &= (ends != worst).all(axis=1)


def better_cameras(scene: Scene, pairs: list[PairMatches], wrong: list[int]) -> dict[int, int]:
    """For views that do not fit their cameras, whose camera fits the image instead, where one of theirs does."""
    better = {}
    for view in wrong:
        partners = [pair for pair in pairs if view in (pair.first, pair.second)]
        partners = [pair for pair in partners if not ({pair.first, pair.second} - {view}) & set(wrong)]
        for other in wrong if partners else ():
            ends = [tuple(other if end == view else end for end in (pair.first, pair.second)) for pair in partners]
            if (
                other != view
                and np.median([pair_fit(scene, *given) for given in zip(partners, ends, strict=True)]) > FITTING
            ):
                better[view] = other
                break
    return better


def better_shift(scene: Scene, pairs: list[PairMatches], most: int = 3) -> int:
    """By how many places the images have to move on to find the cameras that fit nearly all pairs; 0 if nothing helps.

    On a turntable with even steps every shift fits equally, and none is better.
    """
    n, fractions = len(scene), {}
    for shift in range(-most, most + 1):
        cameras = [((pair.first + shift) % n, (pair.second + shift) % n) for pair in pairs]
        fits = [pair_fit(scene, *given) for given in zip(pairs, cameras, strict=True)]
        fractions[shift] = float(np.mean([fit >= FITTING for fit in fits])) if fits else 0.0
    best = max(fractions, key=lambda shift: fractions[shift])
    return best if fractions[best] > max(0.9, fractions[0] + 0.1) else 0
