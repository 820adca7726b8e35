"""What matches between photographs say about a scene: order, poses, exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neus.datasets.epipolar import misfits, pair_fit
from neus.datasets.exposure import pair_ratio, sure_ratio, view_gains
from neus.datasets.findings import Finding
from neus.datasets.matches import PairMatches, match_pairs, neighbour_pairs
from neus.datasets.scene import Scene
from neus.datasets.shape_findings import ShapeMeasures

# Photographs whose exposure differs by more than this factor; less is within what masks and light leave open.
EXPOSURE = 1.2


@dataclass(frozen=True)
class PhotoMeasures:
    """What was measured in photographs.

    Attributes:
        pairs: of views with enough in common.
        fits: share of the matches of each pair that fit the cameras.
        wrong: views whose photograph does not belong to its camera, worst first.
        misfit_shares: (V,) share of a view's pairs that do not fit; NaN for views without pairs.
        brightness: (V,) how bright a view shows the same places, over the median view; NaN likewise.
        exposures: (V,) the part of it that all places share: a lower bound; NaN likewise.
    """

    pairs: list[PairMatches]
    fits: list[float]
    wrong: list[int]
    misfit_shares: NDArray
    brightness: NDArray
    exposures: NDArray


def measure_photographs(scene: Scene) -> PhotoMeasures:
    """Matches between neighbouring views, held against the cameras and compared in colour."""
    pairs = match_pairs(scene, neighbour_pairs(scene))
    fits = [pair_fit(scene, pair) for pair in pairs]
    wrong, shares = misfits(len(scene), [(pair.first, pair.second) for pair in pairs], fits)
    gains = []
    for ratio in (pair_ratio, sure_ratio):
        ratios = [(pair.first, pair.second, ratio(pair)) for pair in pairs]
        known = [entry for entry in ratios if entry[2] is not None]
        gains.append(view_gains(len(scene), [entry[:2] for entry in known], [entry[2] for entry in known]))
    return PhotoMeasures(pairs, fits, wrong, shares, *gains)


def photo_findings(scene: Scene, photos: PhotoMeasures, shape: ShapeMeasures) -> tuple[list[Finding], list[str]]:
    """What looks wrong, and what could not be checked."""
    findings, unchecked = [], []
    if alone := np.flatnonzero(np.isnan(photos.misfit_shares)).tolist():
        unchecked.append(
            f"pose and exposure of {len(alone)} views: too few places in common with other photographs to match"
        )
    if photos.wrong:
        found = f"{len(photos.wrong)} photographs do not fit their cameras: what they share with others is elsewhere"
        remedy = (
            "check the order of the image files against the cameras, and the poses of these views; or drop the views"
        )
        findings.append(Finding("photos_misfit", tuple(sorted(photos.wrong)), found, remedy))
    return findings + _exposure_findings(photos), unchecked


def _exposure_findings(photos: PhotoMeasures) -> list[Finding]:
    is_other = np.abs(np.log(np.nan_to_num(photos.exposures, nan=1.0))) > np.log(EXPOSURE)
    if not is_other.any():
        return []
    low, high = photos.brightness[is_other].min(), photos.brightness[is_other].max()
    found = (
        f"{is_other.sum()} photographs are exposed differently, {low:.2f} to {high:.2f} times as bright as the others"
    )
    remedy = "develop all of them with one exposure and white balance, or drop these views"
    return [Finding("exposure", tuple(np.flatnonzero(is_other).tolist()), found, remedy)]
