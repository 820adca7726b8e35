"""What matches between images say about a scene: order, poses, masks, region of interest, exposure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neus.checks.exposure import exposure_steps, pair_ratio, ratio_spread, sure_ratio, view_gains
from neus.checks.findings import Finding, counted, exclusion, view_list
from neus.checks.regions import suggested_region
from neus.errors import RegionError
from neus.scenes.region_from_points import points_looked_at, region_from_points
from neus.scenes.scene import Scene
from neus.stereo.epipolar import FEWEST_PAIRS, FITTING, better_cameras, better_shift, misfits, pair_fit
from neus.stereo.matches import PairMatches
from neus.stereo.region_from_surface import AND_DEPTH_MAPS
from neus.stereo.sparse_points import SparsePoints, on_object, outside_masks, triangulated

# Fraction of the object's points outside of a view's mask: with right masks it stays below 0.003.
OUTSIDE_MASK = 0.02
# The sphere is too large if nine tenths of the object's points in it (without masks: of all) lie within this radius; they
# reach to 0.8 in scenes made with care. It is misplaced, or too small, if it holds a smaller fraction of them than this;
# without masks, of those that the cameras look at: 0.84 to 1 in spheres set by hand, 0.5 in one that cuts half of the object.
SMALL_REACH, FEW_INSIDE, FEW_LOOKED_AT = 0.5, 0.05, 0.6
# A region of interest found from the points must be so much smaller for a smaller one to be advised.
WORTHWHILE = 0.8
# So many misplaced images are compared with each other's cameras; of more, the order as a whole is judged.
FEW_WRONG = 8
# Fewer points in space say nothing about the region.
FEWEST_POINTS = 100
# Fewer views may have only a part of the object in common.
VIEWS_FOR_REGION = 8
# With fewer views neighbours are so far apart that a shadow or other light between them looks like another exposure.
VIEWS_FOR_EXPOSURE = 20


@dataclass(frozen=True)
class ImageMeasures:
    """What was measured in pairs of images.

    Attributes:
        pairs: of views with enough in common.
        fits: fraction of the matches of each pair that fit the cameras.
        wrong: views whose image does not belong to its camera, worst first.
        misfit_fractions: (V,) fraction of a view's pairs that do not fit; NaN for views without pairs.
        brightness: (V,) how bright a view shows the same points, over the usual view; NaN likewise.
        exposures: (V,) the part of it common to all points: nearer to one; NaN likewise.
        exposed: views whose exposure differs from that of most.
        sparse: points in space.
        outside: (V,) fraction of the object's points outside of a view's mask; NaN without masks.
    """

    pairs: list[PairMatches]
    fits: list[float]
    wrong: list[int]
    misfit_fractions: NDArray
    brightness: NDArray
    exposures: NDArray
    exposed: list[int] = field(default_factory=list)
    sparse: SparsePoints | None = None
    outside: NDArray | None = None


def measure_consistency(scene: Scene, pairs: list[PairMatches], attempt: Callable[..., Any]) -> ImageMeasures:
    """Matches between neighbouring views, compared with the cameras, the masks, and in colour.

    Args:
        scene: as read.
        pairs: its matches.
        attempt: `neus.checks.check.Attempts`: runs one measure so that its failure leaves the others standing.
    """
    n, ends = len(scene), [(pair.first, pair.second) for pair in pairs]
    unknown = np.full(n, np.nan)
    fits = [pair_fit(scene, pair) for pair in pairs]
    wrong, fractions = misfits(n, ends, fits)
    brightness, exposures, exposed = attempt("exposure", _measure_exposure, n, pairs, otherwise=(unknown, unknown, []))
    sparse = attempt("points in space", triangulated, scene, pairs, set(wrong))
    outside = None
    if sparse is not None and scene.masks is not None:
        outside = attempt("masks against points in space", outside_masks, scene, sparse)
    return ImageMeasures(
        pairs, fits, wrong, fractions, brightness, exposures, exposed, sparse, unknown if outside is None else outside
    )


def _measure_exposure(n_views: int, pairs: list[PairMatches]) -> tuple[NDArray, NDArray, list[int]]:
    compared = [pair for pair in pairs if pair_ratio(pair) is not None]
    ends = [(pair.first, pair.second) for pair in compared]
    sure = [sure_ratio(pair) for pair in compared]
    brightness = view_gains(n_views, ends, [pair_ratio(pair) for pair in compared])
    exposures = view_gains(n_views, ends, sure)
    return brightness, exposures, exposure_steps(exposures, ends, sure, [ratio_spread(pair) for pair in compared])


def unmatched_line(scene: Scene, pairs: list[PairMatches]) -> list[str]:
    """Which part of the check could not be done because images have too little in common."""
    n_pairs = np.bincount([view for pair in pairs for view in (pair.first, pair.second)], minlength=len(scene))
    if not (n_alone := int((n_pairs < FEWEST_PAIRS).sum())):
        return []
    return [f"pose and exposure of {counted(n_alone, 'view')}: fewer than {FEWEST_PAIRS} other images match"]


def order_findings(scene: Scene, photos: ImageMeasures) -> list[Finding]:
    """Images that do not belong to their cameras."""
    if not photos.wrong:
        return []
    wrong = sorted(photos.wrong)
    found = f"{counted(len(wrong), 'image')} not matching the cameras: correspondences violate the epipolar geometry"
    suggestion = "check the order of the image files against the cameras, and the poses of these views"
    suggestion += exclusion(wrong, scene.names)
    if most_misfit(photos) or len(wrong) > FEW_WRONG:
        # No two files are to blame then, but the order as a whole, or the cameras.
        suggestion = (
            "check that images and cameras belong together: order of the files, convention of the poses, intrinsics"
        )
        if shift := better_shift(scene, photos.pairs):
            by = f"{abs(shift)} position{'s' if abs(shift) > 1 else ''} {'on' if shift > 0 else 'back'} in the list"
            suggestion = f"they fit the cameras {by}: an image file is missing, too many, or named out of order; fix the file numbering"
    else:
        better = better_cameras(scene, photos.pairs, wrong)
        texts = [
            f"{view_list([view], scene.names)} fits the camera of {view_list([other], scene.names)}"
            for view, other in better.items()
        ]
        suggestion = f"{', '.join(texts)}: swap or rename the files" if texts else suggestion
    return [Finding("photos_misfit", tuple(wrong), found, suggestion)]


def most_misfit(photos: ImageMeasures) -> bool:
    """Whether more than half of the pairs do not fit their cameras, and single images are not to blame."""
    return bool(photos.wrong) and 2 * sum(fit < FITTING for fit in photos.fits) > len(photos.fits)


def point_mask_findings(photos: ImageMeasures) -> list[Finding]:
    """Masks that leave out what other views show on the object."""
    is_bad = np.nan_to_num(photos.outside) > OUTSIDE_MASK
    if not is_bad.any():
        return []
    found = (
        f"{counted(is_bad.sum(), 'mask')} off the object: up to {100 * np.nanmax(photos.outside):.0f}% of what is on the "
        "object in other views falls outside"
    )
    suggestion = "redo or rename these masks"
    if is_bad.sum() > len(is_bad) / 4:
        suggestion = "check that the masks are of this scan, in the order of the images, and not of another object"
    return [Finding("masks_off_object", tuple(np.flatnonzero(is_bad).tolist()), found, suggestion)]


def point_region_findings(scene: Scene, sparse: SparsePoints) -> list[Finding]:
    """A region of interest that is too small or too large for the points on the object.

    None if it was found from depth maps: without masks points lie on what the object stands on, too, and say less.
    """
    if scene.region_from.endswith(AND_DEPTH_MAPS):
        return []
    points = sparse.points[on_object(scene, sparse)]
    distances = np.linalg.norm(points, axis=-1)
    if len(distances) < FEWEST_POINTS:
        return []
    inside = distances[distances < 1.0]
    try:
        region = region_from_points(scene, torch.from_numpy(points))
    except RegionError:  # there is nothing to advise
        return []
    held, which, least = len(inside) / len(distances), "that images share", FEW_INSIDE
    if scene.masks is None:
        near, fractions, least_fraction = points_looked_at(scene, torch.from_numpy(points))
        looked_at = near[fractions >= least_fraction]
        held = float((looked_at.norm(dim=-1) < 1.0).double().mean())
        which, least = f"{which}, of those that the cameras look at,", FEW_LOOKED_AT
    if held < least or len(inside) == 0:
        found = f"only {100 * held:.0f}% of the points {which} lie in the unit sphere"
        suggestion, settings = suggested_region(scene, "make the region of interest larger or move it to the object", region)
        return [Finding("region_too_small", (), found, suggestion, settings)]
    reach = float(np.quantile(inside, 0.9))
    if len(scene) >= VIEWS_FOR_REGION and reach < SMALL_REACH and region.radius < WORTHWHILE:
        found = f"nine tenths of the points that images share in the unit sphere lie within {reach:.2f} of its radius"
        suggestion, settings = suggested_region(scene, "make the region of interest smaller", region)
        return [Finding("region_too_large", (), found, suggestion, settings)]
    return []


def exposure_findings(scene: Scene, photos: ImageMeasures) -> list[Finding]:
    """Views with another exposure than most."""
    if not photos.exposed:
        return []
    is_other = np.isin(np.arange(len(photos.brightness)), photos.exposed)
    compared = photos.brightness[is_other] / np.nanmedian(photos.brightness[~is_other])
    times = f"{compared.min():.2f}" + (f" to {compared.max():.2f}" if len(compared) > 1 else "")
    found = f"{counted(len(compared), 'image')} with another exposure, {times} times as bright as the others"
    suggestion = "develop all of them with one exposure and white balance, or train with train.exposure=affine"
    suggestion += exclusion(photos.exposed, scene.names)
    return [Finding("exposure", tuple(photos.exposed), found, suggestion)]


def photo_consistency_findings(scene: Scene, photos: ImageMeasures, attempt: Callable[..., Any]) -> tuple[list[Finding], list[str]]:
    """What looks wrong, and what could not be checked; `attempt` as for `measure_consistency`."""
    unchecked = unmatched_line(scene, photos.pairs)
    findings = attempt("order of the images", order_findings, scene, photos, otherwise=[])
    if most_misfit(photos):
        unchecked.append(
            "masks and region of interest by points in space: fix the assignment of images to cameras first"
        )
    elif photos.sparse is not None:
        findings = findings + point_mask_findings(photos)
        findings += attempt("region of interest by points", point_region_findings, scene, photos.sparse, otherwise=[])
    if len(scene) < VIEWS_FOR_EXPOSURE:
        unchecked.append(f"exposure: it takes {VIEWS_FOR_EXPOSURE} views to distinguish it from light and shadow")
    elif len(photos.wrong) > len(scene) / 4:
        # Which views are neighbours is not known then, so light that fades in cannot be distinguished from a step.
        unchecked.append("exposure: fix the assignment of images to cameras first")
    else:
        findings += exposure_findings(scene, photos)
    return findings, unchecked
