"""What masks, cameras and sphere say about a scene; about a second for 49 views."""

from dataclasses import dataclass

import numpy as np
import torch

from neus.checks.findings import Finding, counted, exclusion
from neus.checks.regions import suggested_region
from neus.checks.silhouettes import Silhouettes, compare_silhouettes, complement_agrees, disagreeing
from neus.checks.view_facts import ViewFacts
from neus.errors import RegionError
from neus.scenes.region import FROM_ALL, MARGIN, NEAREST_CAMERA_FRACTION, Region
from neus.scenes.region_from_masks import MasksDisagree
from neus.scenes.scene import Scene

# Fewer views leave much of an object to guesswork; cameras closer together than this see no shape.
FEW_VIEWS, LEAST_ANGLE = 4, 10.0
# Fewer masks than these prove nothing about each other.
FEWEST_MASKS = 3
# Masks smaller than this fraction of the image are hardly ever meant; nor is a sphere that small in the image.
TINY_FRACTION = 0.003
# Fraction of a mask that may look past the unit sphere: supports and shadows are part of some masks.
OUTSIDE_SPHERE = 0.15
# The hull is at least as large as the object: if 95% of it lie within this radius, resolution is wasted.
SMALL_OBJECT = 0.55
# If more of the masks disagree, they say nothing about the region.
MOST_DISAGREEING = 0.25
# Where nothing says how large the region should be: this many times as large.
LARGER = 1.5


@dataclass(frozen=True)
class ShapeMeasures:
    """What was measured.

    Attributes:
        silhouettes: masks against each other; None if they were not compared, or have no point in common.
        hull_reach: distance from the sphere's centre within which 95% of the hull lie, scene units; None likewise.
        contradiction: whether the masks have no point in common.
        inverted: whether the complements of the masks agree, and the masks do not.
        unchecked: why masks were not compared, or "".
    """

    silhouettes: Silhouettes | None = None
    hull_reach: float | None = None
    contradiction: bool = False
    inverted: bool = False
    unchecked: str = ""


def measure_shape(scene: Scene) -> ShapeMeasures:
    """The masks against each other."""
    if scene.masks is None:
        return ShapeMeasures(unchecked="masks, and by them the size of the object: there are none")
    if sum(mask.any() and not mask.all() for mask in scene.masks) < FEWEST_MASKS:
        return ShapeMeasures(unchecked=f"masks against each other: it takes at least {FEWEST_MASKS}")
    try:
        silhouettes = compare_silhouettes(scene)
    except MasksDisagree:
        return ShapeMeasures(contradiction=True, inverted=complement_agrees(scene, None))
    except RegionError as error:
        return ShapeMeasures(unchecked=f"masks against each other: {error}")
    reach = np.linalg.norm(silhouettes.hull, axis=-1)
    return ShapeMeasures(
        silhouettes,
        float(np.quantile(reach, 0.95)) if len(reach) else None,
        inverted=complement_agrees(scene, silhouettes),
    )


def _where(is_so: np.ndarray) -> tuple[int, ...]:
    return tuple(int(view) for view in np.flatnonzero(is_so))


def camera_findings(scene: Scene, facts: ViewFacts, shape: ShapeMeasures) -> list[Finding]:
    """Findings about the number and positions of the cameras."""
    findings = []
    if len(scene) < FEW_VIEWS:
        suggestion = "take 30 or more from all around the object"
        findings.append(Finding("few_views", (), f"only {counted(len(scene), 'view')}", suggestion))
    is_whole_scene = scene.region_from.startswith(FROM_ALL)
    if (inside := _where(facts.distance < 1.0)) and not is_whole_scene:
        found = f"{counted(len(inside), 'camera')} inside the object's unit sphere"
        region = Region(torch.zeros(3, dtype=torch.float64), NEAREST_CAMERA_FRACTION * float(facts.distance.min()))
        if shape.silhouettes is not None:
            region = _around_hull(shape.silhouettes)
        suggestion, settings = suggested_region(scene, "make the region of interest smaller", region)
        suggestion += "; or, if the cameras are meant to be within, --set dataset.camera_outside_sphere=false"
        findings.append(Finding("camera_inside", inside, found, suggestion, settings))
    if blind := _where((facts.sphere_fraction < TINY_FRACTION) & (facts.distance >= 1.0)):
        found = f"{counted(len(blind), 'camera')} out of sight of the object's unit sphere"
        suggestion = "check that poses look along +z and that the region of interest is where the object is"
        suggestion += exclusion(blind, scene.names)
        findings.append(Finding("camera_away", blind, found, suggestion))
    if len(scene) > 1 and facts.largest_angle < LEAST_ANGLE:
        found = f"all cameras look from one side, {facts.largest_angle:.1f} degrees between the outermost"
        suggestion = "add views from other sides; these do not determine depth"
        findings.append(Finding("no_spread", (), found, suggestion))
    return findings


def mask_findings(scene: Scene, facts: ViewFacts) -> list[Finding]:
    """Masks that are empty, or white all over."""
    findings = []
    if empty := _where(facts.mask_fraction < TINY_FRACTION):
        found = f"{counted(len(empty), 'mask')} empty or nearly so"
        suggestion = "redo them; if the object is out of sight there, that is right" + exclusion(empty, scene.names)
        findings.append(Finding("masks_empty", empty, found, suggestion))
    if full := _where(facts.mask_fraction == 1.0):
        found = f"{counted(len(full), 'mask')} all white"
        suggestion = "redo them; without any masks train with --conf womask.conf"
        findings.append(Finding("masks_full", full, found, suggestion))
    return findings


def silhouette_findings(shape: ShapeMeasures) -> list[Finding]:
    """Masks that contradict each other, or are inverted."""
    if shape.inverted:
        found = "the masks are inverted: their complements agree with each other on an object, they do not"
        return [Finding("masks_inverted", (), found, "invert the mask files: the object in white, all else in black")]
    suggestion = (
        "check that images, masks and cameras are of the same scan and in the same order (no file missing or renamed), "
        "and redo single bad masks"
    )
    if shape.contradiction:
        return [Finding("masks_disagree", (), "no point in space lies in all masks", suggestion)]
    if shape.silhouettes is None:
        return []
    missed, beyond, is_bad = shape.silhouettes.missed, shape.silhouettes.beyond, disagreeing(shape.silhouettes)
    if not is_bad.any():
        return []
    most = 100 * max(np.nanmax(missed[is_bad]), np.nanmax(beyond[is_bad]))
    found = f"{counted(is_bad.sum(), 'mask')} inconsistent with the visual hull of the others, by up to {most:.0f}% of the area"
    return [Finding("masks_disagree", _where(is_bad), found, suggestion)]


def masks_agree(shape: ShapeMeasures) -> bool:
    """Whether no masks, or only a few, contradict the others."""
    if shape.contradiction:
        return False
    return shape.silhouettes is None or disagreeing(shape.silhouettes).mean() <= MOST_DISAGREEING


def region_findings(scene: Scene, facts: ViewFacts, shape: ShapeMeasures) -> list[Finding]:
    """A region of interest that is too small or too large for the masks, if those are consistent and not white all over."""
    outside = np.where(facts.mask_fraction < 1.0, facts.mask_outside, np.nan)
    if not np.isfinite(outside).any() or not masks_agree(shape):
        return []
    if np.nanmedian(outside) > OUTSIDE_SPHERE:
        found = f"the object is larger than its unit sphere: {100 * np.nanmedian(outside):.0f}% of a mask lies outside of its image"
        region = Region(torch.zeros(3, dtype=torch.float64), LARGER)
        if shape.silhouettes is not None:
            region = _around_hull(shape.silhouettes)
        suggestion, settings = suggested_region(scene, "make the region of interest larger", region)
        return [Finding("region_too_small", _where(outside > OUTSIDE_SPHERE), found, suggestion, settings)]
    if shape.hull_reach is not None and shape.hull_reach < SMALL_OBJECT:
        found = f"the object fills only {shape.hull_reach:.2f} of its unit sphere's radius; detail and time are lost on empty space"
        suggestion, settings = suggested_region(scene, "make the region of interest smaller", _around_hull(shape.silhouettes))
        return [Finding("region_too_large", (), found, suggestion, settings)]
    return []


def _around_hull(silhouettes: Silhouettes) -> Region:
    return Region(silhouettes.region.center, MARGIN * silhouettes.region.radius)
