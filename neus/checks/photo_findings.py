"""What matches between photographs say about a scene: order, poses, masks, region of interest, exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neus.checks.exposure import exposure_steps, pair_ratio, sure_ratio, view_gains
from neus.checks.findings import Finding, counted, view_list
from neus.scenes.scene import Scene
from neus.stereo.epipolar import better_cameras, better_shift, misfits, pair_fit
from neus.stereo.matches import PairMatches, match_neighbours
from neus.stereo.sparse_points import SparsePoints, on_object, outside_masks, triangulated

# Share of the object's points outside of a view's mask: with right masks it stays below 0.003.
OUTSIDE_MASK = 0.02
# The sphere is too large if nine tenths of the object's points in it (without masks: of all) lie within this radius; they
# reach to 0.8 in scenes made with care. It is in the wrong place, or too small, if it holds a smaller share of them than this.
SMALL_REACH, FEW_INSIDE = 0.5, 0.05
# So many misplaced photographs are looked at one by one; of more, the order as a whole is looked at.
FEW_WRONG = 8
# Fewer points in space say nothing about the region.
FEWEST_POINTS = 100


@dataclass(frozen=True)
class PhotoMeasures:
    """What was measured in photographs.

    Attributes:
        pairs: of views with enough in common.
        fits: share of the matches of each pair that fit the cameras.
        wrong: views whose photograph does not belong to its camera, worst first.
        misfit_shares: (V,) share of a view's pairs that do not fit; NaN for views without pairs.
        brightness: (V,) how bright a view shows the same places, over the usual view; NaN likewise.
        exposures: (V,) the part of it that all places share: nearer to one; NaN likewise.
        exposed: views whose exposure differs from that of most.
        sparse: points in space.
        outside: (V,) share of the object's points outside of a view's mask; NaN without masks.
    """

    pairs: list[PairMatches]
    fits: list[float]
    wrong: list[int]
    misfit_shares: NDArray
    brightness: NDArray
    exposures: NDArray
    exposed: list[int]
    sparse: SparsePoints
    outside: NDArray


def measure_photographs(scene: Scene) -> PhotoMeasures:
    """Matches between neighbouring views, held against the cameras and the masks, and compared in colour."""
    n, pairs = len(scene), match_neighbours(scene)
    ends, fits = [(pair.first, pair.second) for pair in pairs], [pair_fit(scene, pair) for pair in pairs]
    wrong, shares = misfits(n, ends, fits)
    gains = {}
    for ratio in (pair_ratio, sure_ratio):
        known = [(end, value) for end, pair in zip(ends, pairs, strict=True) if (value := ratio(pair)) is not None]
        compared, ratios = [end for end, _ in known], [value for _, value in known]
        gains[ratio] = view_gains(n, compared, ratios)
    exposed = exposure_steps(gains[sure_ratio], compared, ratios)
    sparse = triangulated(scene, pairs, set(wrong))
    outside = np.full(n, np.nan) if scene.masks is None else outside_masks(scene, sparse)
    return PhotoMeasures(pairs, fits, wrong, shares, gains[pair_ratio], gains[sure_ratio], exposed, sparse, outside)


def photo_findings(scene: Scene, photos: PhotoMeasures) -> tuple[list[Finding], list[str]]:
    """What looks wrong, and what could not be checked."""
    unchecked = []
    if n_alone := int(np.isnan(photos.misfit_shares).sum()):
        unchecked.append(
            f"pose and exposure of {n_alone} views: too few places in common with other photographs to match"
        )
    findings = _order_findings(scene, photos) + _mask_findings(photos)
    findings += _region_findings(scene, photos.sparse)
    if len(photos.wrong) > len(scene) / 4:
        # Which views stand side by side is not known then, so light that fades in cannot be told from a step.
        return findings, [*unchecked, "exposure: not before photographs and cameras are in the same order"]
    return findings + _exposure_findings(photos), unchecked


def _order_findings(scene: Scene, photos: PhotoMeasures) -> list[Finding]:
    if not photos.wrong:
        return []
    wrong = sorted(photos.wrong)
    found = f"{counted(len(wrong), 'photograph')} out of place: what neighbours share is not where the cameras have it"
    remedy = "check the order of the image files against the cameras, and the poses of these views; else drop the views"
    if len(wrong) <= FEW_WRONG:
        better = better_cameras(scene, photos.pairs, wrong)
        texts = [
            f"{view_list([view], scene.names)} fits the camera of {view_list([other], scene.names)}"
            for view, other in better.items()
        ]
        remedy = f"{', '.join(texts)}: swap or rename the files" if texts else remedy
    elif shift := better_shift(scene, photos.pairs):
        by = f"{abs(shift)} place{'s' if abs(shift) > 1 else ''} {'on' if shift > 0 else 'back'} in the list"
        remedy = (
            f"they fit the cameras {by}: an image file is missing, too many, or named out of order; mend the numbering"
        )
    return [Finding("photos_misfit", tuple(wrong), found, remedy)]


def _mask_findings(photos: PhotoMeasures) -> list[Finding]:
    is_bad = np.nan_to_num(photos.outside) > OUTSIDE_MASK
    if not is_bad.any():
        return []
    found = (
        f"{counted(is_bad.sum(), 'mask')} off the object: up to {100 * np.nanmax(photos.outside):.0f}% of what is on the "
        "object in other views falls outside"
    )
    remedy = "redo or rename these masks"
    if is_bad.sum() > len(is_bad) / 4:
        remedy = "check that the masks are of this scan, in the order of the images, and not of another object"
    return [Finding("masks_off_object", tuple(np.flatnonzero(is_bad).tolist()), found, remedy)]


def _region_findings(scene: Scene, sparse: SparsePoints) -> list[Finding]:
    distances = np.linalg.norm(sparse.points[on_object(scene, sparse)], axis=-1)
    if len(distances) < FEWEST_POINTS:
        return []
    inside = distances[distances < 1.0]
    how = "(dataset.center and dataset.radius, or scale_mat in the camera file)"
    if len(inside) < FEW_INSIDE * len(distances):
        found = f"only {100 * len(inside) / len(distances):.0f}% of what the photographs share lies in the unit sphere"
        return [
            Finding("region_too_small", (), found, f"make the region of interest larger or move it to the object {how}")
        ]
    reach = float(np.quantile(inside, 0.9))
    if reach < SMALL_REACH:
        found = f"nine tenths of what the photographs share in the unit sphere lie within {reach:.2f} of its radius"
        return [Finding("region_too_large", (), found, f"make the region of interest smaller {how}")]
    return []


def _exposure_findings(photos: PhotoMeasures) -> list[Finding]:
    if not photos.exposed:
        return []
    is_other = np.isin(np.arange(len(photos.brightness)), photos.exposed)
    compared = photos.brightness[is_other] / np.nanmedian(photos.brightness[~is_other])
    times = f"{compared.min():.2f}" + (f" to {compared.max():.2f}" if len(compared) > 1 else "")
    found = f"{counted(len(compared), 'photograph')} with another exposure, {times} times as bright as the others"
    remedy = "develop all of them with one exposure and white balance, or drop these views"
    return [Finding("exposure", tuple(photos.exposed), found, remedy)]
