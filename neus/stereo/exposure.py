"""How bright each view shows the surface that all of them see: an affine map of colours for each view and channel."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.kernels.threads import run_tasks
from neus.scenes.scene import Scene
from neus.stereo.rendered_depths import rendered_depths
from neus.stereo.stereo_views import StereoView, stereo_views
from neus.stereo.surface_points import SurfacePoints
from neus.stereo.surface_refinement import resampled

# Colours are compared in images of this longer side, where a pixel averages over errors of the surface, and visibility is that of a
# lattice of so many vertices per axis. More points add nothing: those of one neighbourhood err alike.
LONGEST_SIDE, RESOLUTION, MOST_POINTS = 320, 128, 10_000
# A point is seen where the surface is drawn within this fraction of its depth, and not too slantingly.
SAME_DEPTH, LEAST_COSINE = 0.02, 0.3
# Darker or lighter than these a sensor says little.
DARKEST, LIGHTEST = 0.04, 0.96
# Cubes of so many scene units: residuals within one are alike, between two they are taken as independent.
BLOCK = 0.1
# What is known of gains and offsets before any image is seen, standard deviations: it decides only where views share next to nothing.
GAIN_PRIOR, OFFSET_PRIOR = 0.5, 0.1
# Rounds of Gauss-Newton, and the residual, in deviations of all, from which an observation counts less (Geman-McClure).
N_ROUNDS, SOFTENED = 15, 2.0
# Variance of a number that is rounded to 8 bits: without noise nothing would hold back the common brightness, which no view tells.
ROUNDED = 1.0 / 255.0**2 / 12.0
# Share of the variance of a normal distribution: its median absolute value.
NORMAL_MEDIAN, TINY = 0.6745, 1e-12


class Observations(NamedTuple):
    """The colours that V views show at M points of a surface.

    Attributes:
        colors: (V, M, 3) float32 in [0, 1].
        is_seen: (V, M) bool; elsewhere colours mean nothing.
        blocks: (M,) int, the cube that a point lies in.
    """

    colors: NDArray
    is_seen: NDArray
    blocks: NDArray


class ExposureFit(NamedTuple):
    """Maps from common colours c to those of each view, a c + b, for each channel.

    Attributes:
        gains, offsets: (V, 3) a and b; their means over the views are 1 (geometric) and 0.
        levels: (V, 3) (a c + b) / c at the median colour: how much brighter than the common exposure.
        errors: (V, 3) standard errors of the logarithm of the levels.
    """

    gains: NDArray
    offsets: NDArray
    levels: NDArray
    errors: NDArray


def exposures_of(scene: Scene, distances: NDArray, points: SurfacePoints, seed: int = 0) -> ExposureFit:
    """The exposure and white balance of each view of a scene.

    Args:
        scene: V views.
        distances: (P, P, P) signed distances of its surface at vertices linspace(-1, 1, P), [x, y, z], which tells what is hidden.
        points: of it.
        seed: of those that are compared, if there are many.
    """
    chosen = np.random.default_rng(seed).permutation(len(points.points))[:MOST_POINTS]
    views = stereo_views(scene, LONGEST_SIDE)
    depths = rendered_depths(resampled(distances, min(RESOLUTION, len(distances))), views)
    seen = observed_colors(views, depths, points.points[chosen], points.normals[chosen])
    return fitted_exposures(seen)


def observed_colors(views: list[StereoView], depths: list[NDArray], points: NDArray, normals: NDArray) -> Observations:
    """What views show at points (M, 3) of a surface with unit normals (M, 3), whose depths (H, W) in each are given."""
    colors = np.zeros((len(views), len(points), 3), np.float32)
    is_seen = np.zeros((len(views), len(points)), bool)

    def look(index: int) -> None:
        view, drawn = views[index], depths[index]
        projected = points @ view.matrix[:, :3].T + view.matrix[:, 3]
        z = np.maximum(projected[:, 2], TINY)
        x, y = (projected[:, :2] / z[:, None]).astype(np.float32).T
        height, width = drawn.shape
        within = (projected[:, 2] > TINY) & (x >= 0.0) & (y >= 0.0) & (x <= width - 1) & (y <= height - 1)
        x, y = np.where(within, x, 0.0), np.where(within, y, 0.0)
        nearest = drawn[np.rint(y).astype(int), np.rint(x).astype(int)]
        toward = view.center - points
        cosines = (toward * normals).sum(axis=1) / np.linalg.norm(toward, axis=1)
        found = cv2.remap(view.rgb, x[None], y[None], cv2.INTER_LINEAR)[0].astype(np.float32) / 255.0
        is_fair = ((found > DARKEST) & (found < LIGHTEST)).all(axis=1)
        # An unknown depth is NaN, which is near nothing.
        is_seen[index] = within & is_fair & (cosines > LEAST_COSINE) & (np.abs(nearest / z - 1.0) < SAME_DEPTH)
        colors[index] = found

    run_tasks(look, [(index,) for index in range(len(views))])
    cubes = np.floor(points / BLOCK).astype(np.int64)
    return Observations(colors, is_seen, np.unique(cubes, axis=0, return_inverse=True)[1].reshape(-1))


def fitted_exposures(seen: Observations) -> ExposureFit:
    """Maximum likelihood fit of y_vp = a_v c_p + b_v, channel by channel, robust; see `_fit_channel`."""
    channels = [_fit_channel(seen.colors[..., i].astype(np.float64), seen.is_seen, seen.blocks) for i in range(3)]
    columns = [np.stack(parts, axis=-1) for parts in zip(*channels, strict=True)]
    return ExposureFit(*columns)


def _fit_channel(y: NDArray, is_seen: NDArray, blocks: NDArray) -> tuple[NDArray, ...]:
    """Gains, offsets, levels and errors (V,) of one channel (V, M).

    The colours c_p are eliminated from each step of Gauss-Newton (variable projection), so that V views cost a system of 2 V
    unknowns. Residuals of a block of points err alike (shadow, gloss): their sums over blocks, and not the number of points, give the
    noise, by which the ridge towards a = 1, b = 0 is weighted and the errors are computed (cluster-robust, Liang & Zeger 1986).
    """
    n = len(y)
    a, b, weights = np.ones(n), np.zeros(n), is_seen.astype(np.float64)
    prior = np.repeat([GAIN_PRIOR**-2, OFFSET_PRIOR**-2], n)
    for _ in range(N_ROUNDS):
        c = _common(y, a, b, weights)
        residuals = y - a[:, None] * c - b[:, None]
        hessian, gradient, noise = _normal_equations(c, residuals, a, weights, blocks)
        gradient = gradient - noise * prior * np.concatenate([a - 1.0, b])
        step = np.linalg.solve(hessian + np.diag(noise * prior), gradient)
        a, b = _normalized(a * np.exp(step[:n] / a), b + step[n:])
        # Only now: the step takes the colours to be those that fit best by the weights it has.
        weights = is_seen / (1.0 + (residuals / (SOFTENED * _deviation(residuals, is_seen) + TINY)) ** 2) ** 2
    c = _common(y, a, b, weights)
    middle = float(np.median(c[is_seen.any(axis=0)])) if is_seen.any() else 1.0
    covariance = np.linalg.inv(hessian / (noise + TINY) + np.diag(prior))
    levels = a + b / middle
    return a, b, levels, _level_errors(a, middle, covariance) / levels


def _common(y: NDArray, a: NDArray, b: NDArray, weights: NDArray) -> NDArray:
    """(M,) colours c of the points that fit best."""
    total = np.maximum((a * a) @ weights, TINY)
    return (a @ (weights * y) - (a * b) @ weights) / total


def _normal_equations(
    c: NDArray, residuals: NDArray, a: NDArray, weights: NDArray, blocks: NDArray
) -> tuple[NDArray, NDArray, float]:
    """(2V, 2V) matrix and (2V,) right side of the step of gains and offsets, and the variance of an observation.

    The variance is that of independent observations which would make sums over the blocks vary as they do.
    """
    n, rows = len(a), np.arange(len(a))
    scaled = weights * (a[:, None] / np.sqrt(np.maximum((a * a) @ weights, TINY)))
    coupled = np.concatenate([scaled * c, scaled])
    hessian = -(coupled @ coupled.T)
    mixed = weights @ c
    hessian[rows, rows] += weights @ (c * c)
    hessian[rows + n, rows + n] += weights.sum(axis=1)
    hessian[rows, rows + n] += mixed
    hessian[rows + n, rows] += mixed
    weighted = weights * residuals
    noise = max(float((_sums(weighted, blocks) ** 2).sum() / max(weights.sum(), TINY)), ROUNDED)
    return hessian, np.concatenate([weighted @ c, weighted.sum(axis=1)]), noise


def _sums(values: NDArray, blocks: NDArray) -> NDArray:
    """(V, B) sums of values (V, M) over the blocks."""
    return np.stack([np.bincount(blocks, row) for row in values])


def _normalized(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """The same maps of other common colours, such that the mean of log a and of b is zero.

    No view is the reference: its own error would be that of all others, and the mean lies where most images leave room to both sides.
    """
    a = a / np.exp(np.log(a).mean())
    return a, b - a * (b.mean() / a.mean())


def _level_errors(a: NDArray, middle: float, covariance: NDArray) -> NDArray:
    """(V,) standard errors of a + b / middle, relative to the mean of all views."""
    n = len(a)
    of_gains = np.eye(n) - np.outer(a, 1.0 / a) / n
    of_offsets = (np.eye(n) - np.outer(a / a.mean(), np.full(n, 1.0 / n))) / middle
    jacobian = np.concatenate([of_gains, of_offsets], axis=1)
    return np.sqrt(np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian))


def _deviation(residuals: NDArray, is_seen: NDArray) -> float:
    """Standard deviation of what is seen, from its median absolute value."""
    return float(np.median(np.abs(residuals[is_seen]))) / NORMAL_MEDIAN if is_seen.any() else 0.0
