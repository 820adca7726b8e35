"""What masks, cameras and sphere say about a scene, in plain words; a second for 49 views."""

from dataclasses import dataclass

import numpy as np

from neus.checks.findings import Finding, counted
from neus.checks.silhouettes import Silhouettes, compare_silhouettes
from neus.checks.view_facts import ViewFacts, view_facts
from neus.errors import InputError
from neus.scenes.scene import Scene

# Fewer views leave much of an object to guesswork; cameras closer together than this see no shape.
FEW_VIEWS, LEAST_ANGLE = 4, 10.0
# Masks smaller than this share of the image are hardly ever meant; nor is a sphere that small in the image.
TINY_SHARE = 0.003
# Share of a mask that may lie outside of the hull of all others: borders and thin parts on a coarse lattice.
MISSED = 0.15
# Share of the others' hull beyond a mask, over that of the median view: parts cut off in that mask.
BEYOND = 0.15
# Of fewer views each cuts much from the hull of the others by right, and only what the hull leaves uncovered counts.
VIEWS_FOR_BEYOND = 12
# Share of a mask that may look past the unit sphere: supports and shadows are part of some masks.
OUTSIDE_SPHERE = 0.15
# The hull is at least as large as the object: if 95% of it lie within this radius, resolution is wasted.
SMALL_OBJECT = 0.55


@dataclass(frozen=True)
class ShapeMeasures:
    """What was measured.

    Attributes:
        facts: of each view.
        silhouettes: masks against each other; None without usable masks, or if they have no point in common.
        hull_reach: distance from the sphere's centre within which 95% of the hull lie, scene units; None likewise.
        contradiction: why the masks have no point in common, or "".
    """

    facts: ViewFacts
    silhouettes: Silhouettes | None
    hull_reach: float | None
    contradiction: str


def measure_shape(scene: Scene) -> ShapeMeasures:
    """Masks, cameras and sphere measured."""
    facts, silhouettes, reach, contradiction = view_facts(scene), None, None, ""
    if scene.masks is not None and np.nanmin(facts.mask_share) < 1.0 and np.nanmax(facts.mask_share) > 0.0:
        try:
            silhouettes = compare_silhouettes(scene)
            if len(silhouettes.hull):
                reach = float(np.quantile(np.linalg.norm(silhouettes.hull, axis=-1), 0.95))
        except InputError as error:
            contradiction = str(error)
    return ShapeMeasures(facts, silhouettes, reach, contradiction)


def shape_findings(scene: Scene, shape: ShapeMeasures) -> tuple[list[Finding], list[str]]:
    """What looks wrong, and what could not be checked."""
    findings = _camera_findings(scene, shape.facts)
    unchecked = []
    if scene.masks is None:
        unchecked.append("masks, and by them the size of the object: there are none")
        return findings, unchecked
    findings += _mask_findings(shape.facts) + _silhouette_findings(shape) + _region_findings(shape)
    return findings, unchecked


def _where(is_so: np.ndarray) -> tuple[int, ...]:
    return tuple(int(view) for view in np.flatnonzero(is_so))


def _camera_findings(scene: Scene, facts: ViewFacts) -> list[Finding]:
    findings = []
    if len(scene) < FEW_VIEWS:
        found = f"only {len(scene)} views"
        findings.append(Finding("few_views", (), found, "take 30 or more from all around the object"))
    if inside := _where(facts.distance < 1.0):
        found = f"{counted(len(inside), 'camera')} inside the object's unit sphere"
        remedy = (
            "make the region of interest smaller (dataset.radius, or scale_mat in the camera file), or set "
            "dataset.camera_outside_sphere = false if the cameras are meant to be within"
        )
        findings.append(Finding("camera_inside", inside, found, remedy))
    if blind := _where((facts.sphere_share < TINY_SHARE) & (facts.distance >= 1.0)):
        found = f"{counted(len(blind), 'camera')} out of sight of the object's unit sphere"
        remedy = (
            "check that poses look along +z and that the region of interest is where the object is, or drop the views"
        )
        findings.append(Finding("camera_away", blind, found, remedy))
    if len(scene) > 1 and facts.largest_angle < LEAST_ANGLE:
        found = f"all cameras look from one side, {facts.largest_angle:.1f} degrees between the outermost"
        findings.append(Finding("no_spread", (), found, "add views from other sides; depth cannot be told from these"))
    return findings


def _mask_findings(facts: ViewFacts) -> list[Finding]:
    findings = []
    if empty := _where(facts.mask_share < TINY_SHARE):
        found = f"{counted(len(empty), 'mask')} empty or nearly so"
        findings.append(
            Finding("masks_empty", empty, found, "redo them, or drop the views if the object is out of sight")
        )
    if full := _where(facts.mask_share == 1.0):
        found = f"{counted(len(full), 'mask')} all white"
        remedy = "redo them; without any masks train with --conf womask.conf"
        findings.append(Finding("masks_full", full, found, remedy))
    return findings


def _silhouette_findings(shape: ShapeMeasures) -> list[Finding]:
    remedy = (
        "check that images, masks and cameras are of the same scan and in the same order (no file missing or renamed), "
        "and redo single bad masks"
    )
    if shape.contradiction:
        return [Finding("masks_disagree", (), "no point in space lies in all masks", remedy)]
    if shape.silhouettes is None:
        return []
    missed, beyond = shape.silhouettes.missed, shape.silhouettes.beyond
    is_bad = np.nan_to_num(missed) > MISSED
    if np.isfinite(beyond).sum() >= VIEWS_FOR_BEYOND:
        is_bad |= np.nan_to_num(beyond) > np.nanmedian(beyond) + BEYOND
    if not is_bad.any():
        return []
    most = 100 * max(np.nanmax(missed[is_bad]), np.nanmax(beyond[is_bad]))
    found = (
        f"{counted(is_bad.sum(), 'mask')} in contradiction to the hull of the others, by up to {most:.0f}% of the area"
    )
    return [Finding("masks_disagree", _where(is_bad), found, remedy)]


def _region_findings(shape: ShapeMeasures) -> list[Finding]:
    facts = shape.facts
    outside = np.nan_to_num(facts.mask_outside)
    if np.median(outside) > OUTSIDE_SPHERE:
        found = f"the object is larger than its unit sphere: {100 * np.median(outside):.0f}% of a mask look past it"
        remedy = (
            "make the region of interest larger (dataset.center and dataset.radius, or scale_mat in the camera file)"
        )
        return [Finding("region_too_small", _where(outside > OUTSIDE_SPHERE), found, remedy)]
    if shape.hull_reach is not None and shape.hull_reach < SMALL_OBJECT:
        found = f"the object fills only {shape.hull_reach:.2f} of its unit sphere's radius"
        factor = shape.hull_reach * 1.1
        remedy = (
            f"make the region of interest smaller, about {factor:.2f} of its radius (dataset.center and dataset.radius, "
            "or scale_mat in the camera file): detail and time are lost on empty space"
        )
        return [Finding("region_too_large", (), found, remedy)]
    return []
