"""How well a surface agrees with images that taught it nothing: a dense measure that needs no truth.

The surface is drawn in every left-out view, and the nearest training images are warped into it by the depths found so. Two
questions are put to each pixel: how alike the images are there (zero-mean normalised cross correlation C), and at which offset
along the pixel's ray they would be most alike, which is how far the surface is off.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.geometry.similarity import scale_of
from neus.scenes.scene import Scene
from neus.stereo.rendered_depths import rendered_depths
from neus.stereo.stereo_views import DepthEstimate, StereoView, neighbors_of_cameras, stereo_views
from neus.stereo.surface_points import cosine_image
from neus.stereo.surface_sweep import N_NEIGHBORS, sweep_surface
from neus.stereo.warped import correlation

# Of these the correlation at the surface itself is taken; the sweep takes all neighbours.
N_NEAREST = 2
# Offsets to each side and pixels from one to the next: 15 offsets fill the registers of semi-global matching.
N_OFFSETS, PIXELS_PER_STEP = 7, 0.5
# Pixels beyond which an offset cannot be found: what is farther off counts as this much.
REACH = (N_OFFSETS - 1) * PIXELS_PER_STEP
# Odd side of the windows, pixels.
WINDOW = 7
# Deviation of the grey levels (0 to 255) in a window below which there is nothing to match.
LEAST_CONTRAST = 2.0
# Correlations below this are disagreement.
LEAST_AGREEMENT = 0.5


@dataclass(frozen=True)
class DenseAgreement:
    """Agreement of a surface with left-out images, over all their pixels together; None where no pixel says anything.

    Attributes:
        n_views, n_pixels: left-out views, and their pixels that show the surface (inside the mask, where there is one) and
            have texture, and that a training view sees as well.
        covered: fraction of the object's pixels at which an offset was found: of those in the masks, without masks of those
            that show the surface. The other numbers say nothing of the rest.
        offset_px, offset_px_90: median and 90 % quantile of the offsets' sizes, pixels of motion in the training views.
        offset, offset_90: the same as distances from the surface, world units.
        offset_px_clipped: mean size over all `n_pixels`; one that was not found counts as `REACH` pixels. To choose
            between two surfaces this is the number: one that is far off hides nothing by being covered less.
        disagreement: mean of 1 - max(C, 0) at the surface, C the mean over the two nearest training views that see it.
        disagreeing: fraction of pixels with C < 0.5.
    """

    n_views: int
    n_pixels: int
    covered: float
    offset_px: float | None
    offset_px_90: float | None
    offset: float | None
    offset_90: float | None
    offset_px_clipped: float | None
    disagreement: float | None
    disagreeing: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers, for JSON."""
        return asdict(self)


def dense_agreement(
    surface: trimesh.Trimesh | NDArray, scene: Scene, held_out: Sequence[int], longest_side: int = 800
) -> DenseAgreement:
    """How well a surface agrees with the views that were held out of its training.

    Seven views of 800x600 and a mesh of half a million faces take a few seconds on two cores.

    Args:
        surface: a mesh in scene units, or (P, P, P) signed distances at vertices linspace(-1, 1, P), indexed [x, y, z].
        scene: all views, in the frame of the surface.
        held_out: numbers of the views to measure on; all others are training views.
        longest_side: of the images as they are compared, pixels.

    Raises:
        InputError: no view to measure on, or none left to compare with.
    """
    parts = _parts(surface, *_compared_views(scene, held_out, longest_side))
    return _together(parts, scale_of(scene.scene_to_world))


def paired_offsets(
    surfaces: Sequence[trimesh.Trimesh | NDArray], scene: Scene, held_out: Sequence[int], longest_side: int = 800
) -> list[float] | None:
    """Mean offset of each of several surfaces in pixels, over the pixels at which one was found for all; None if there are none.

    It tells which of surfaces that differ by less than `REACH` agrees best, much more finely than `offset_px_clipped`: pixels that
    cannot be matched whatever the surface, which differ by chance, have no say. It does not see what a surface has lost altogether.

    Args:
        surfaces: each as in `dense_agreement`.
        scene, held_out, longest_side: as there.

    Raises:
        InputError: as there.
    """
    compared = _compared_views(scene, held_out, longest_side)
    found = [np.concatenate([part.image.ravel() for part in _parts(surface, *compared)]) for surface in surfaces]
    of_all = np.isfinite(found).all(axis=0)
    return [float(offsets[of_all].mean()) for offsets in found] if of_all.any() else None


def _compared_views(scene: Scene, held_out: list[int], longest_side: int) -> tuple[list[StereoView], list[list[int]], int]:
    """The held-out views, then the training views near them; for each the numbers in this list of its neighbours; how many are held out."""
    held_out = list(dict.fromkeys(held_out))
    if not held_out or not all(0 <= view < len(scene) for view in held_out):
        raise InputError(
            f"{scene.source}: held-out views {held_out}, expected at least one of 0 to {len(scene) - 1}; train with --holdout 8."
        )
    is_training = np.ones(len(scene), bool)
    is_training[held_out] = False
    if not is_training.any():
        raise InputError(f"{scene.source}: all {len(scene)} views are held out; leave some to compare them with.")
    poses = scene.camera_to_scene.numpy().astype(np.float64)
    near = neighbors_of_cameras(poses[:, :3, 3], poses[:, :3, 2], N_NEIGHBORS, candidates=is_training)
    chosen = list(dict.fromkeys([*held_out, *(other for view in held_out for other in near[view])]))
    place = {view: index for index, view in enumerate(chosen)}
    lists = [[place[other] for other in near[view]] for view in held_out]
    lists += [[] for _ in chosen[len(held_out) :]]
    return stereo_views(scene.subset(chosen), longest_side), lists, len(held_out)


class _ViewPart(NamedTuple):
    """Of one left-out view: sizes of offsets, (H, W) pixels with NaN where none was found, and those found, (n,) scene units;
    correlations (m,); and a count."""

    image: NDArray
    offsets: NDArray
    correlations: NDArray
    n_object: int


def _parts(
    surface: trimesh.Trimesh | NDArray, views: list[StereoView], lists: list[list[int]], n_held_out: int
) -> list[_ViewPart]:
    """Of the held-out views, which are the first."""
    depths = rendered_depths(surface, views)
    swept = sweep_surface(views, depths, N_OFFSETS, PIXELS_PER_STEP, WINDOW, lists)
    return [_of_view(views, depths, swept[index], lists[index], index) for index in range(n_held_out)]


def _of_view(
    views: list[StereoView], depths: list[NDArray], swept: DepthEstimate, others: list[int], index: int
) -> _ViewPart:
    view, rendered = views[index], depths[index]
    is_object = np.isfinite(rendered) if view.mask is None else view.mask
    seen = [correlation(view, rendered, views[o], depths[o], WINDOW) for o in others[:N_NEAREST]]
    n_seeing = sum((np.isfinite(c) for c in seen), np.zeros(rendered.shape, int))
    counted = is_object & (n_seeing > 0) & (_deviation(view.grey) > LEAST_CONTRAST)
    mean = sum((np.nan_to_num(c) for c in seen), np.zeros(rendered.shape)) / np.maximum(n_seeing, 1)
    found = counted & np.isfinite(swept.depths)
    steps = (1.0 / swept.depths[found] - 1.0 / rendered[found]) / swept.step
    # Distance from the surface, not along the ray: that is how surfaces are compared, and slant does not count.
    y, x = np.nonzero(found)
    rays = np.column_stack([x, y, np.ones(len(x))]) @ view.backprojection().T
    cosines = cosine_image(DepthEstimate(view.matrix, rendered, np.ones_like(rendered), swept.step))[found]
    offsets = np.abs(swept.depths[found] - rendered[found]) * np.linalg.norm(rays, axis=1) * cosines
    image = np.full(rendered.shape, np.nan)
    image[found] = np.abs(steps) * PIXELS_PER_STEP
    return _ViewPart(image, offsets, mean[counted], int(is_object.sum()))


def _deviation(grey: NDArray) -> NDArray:
    """(H, W) standard deviation of the grey levels in each window."""
    mean, square = (cv2.blur(values, (WINDOW, WINDOW)) for values in (grey, grey * grey))
    return np.sqrt(np.maximum(square - mean * mean, 0.0))


def _together(parts: list[_ViewPart], unit: float) -> DenseAgreement:
    images, offsets, correlations = (np.concatenate([np.ravel(part[k]) for part in parts]) for k in range(3))
    pixels = images[np.isfinite(images)]
    n_object, n = sum(part.n_object for part in parts), len(correlations)
    clipped = np.minimum(pixels, REACH).sum() + REACH * (n - len(pixels))

    def at(values: NDArray, q: float) -> float | None:
        return float(np.quantile(values, q)) if len(values) else None

    return DenseAgreement(
        n_views=len(parts),
        n_pixels=n,
        covered=len(pixels) / n_object if n_object else 0.0,
        offset_px=at(pixels, 0.5),
        offset_px_90=at(pixels, 0.9),
        offset=at(unit * offsets, 0.5),
        offset_90=at(unit * offsets, 0.9),
        offset_px_clipped=float(clipped / n) if n else None,
        disagreement=float((1.0 - np.maximum(correlations, 0.0)).mean()) if n else None,
        disagreeing=float((correlations < LEAST_AGREEMENT).mean()) if n else None,
    )
