"""Validates a scene before hours are spent on it: measures, findings in plain words."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neus.checks.findings import Finding
from neus.checks.image_findings import image_findings, measure_images
from neus.checks.intrinsic_findings import intrinsics_findings
from neus.checks.photo_consistency_findings import ImageMeasures, measure_consistency, photo_consistency_findings
from neus.checks.regions import region_line, region_settings
from neus.checks.shape_findings import (
    ShapeMeasures,
    camera_findings,
    mask_findings,
    masks_agree,
    measure_shape,
    region_findings,
    silhouette_findings,
)
from neus.checks.silhouettes import complement
from neus.checks.view_facts import ViewFacts, view_facts
from neus.errors import InputError, InputWarning, MaskWarning, RegionError
from neus.scenes.intrinsics import intrinsics_fault
from neus.scenes.readers import OBJECT, DatasetConfig, read_scene
from neus.scenes.region import framed, region_from_axes
from neus.scenes.region_from_masks import MasksDisagree
from neus.scenes.scene import Scene
from neus.stereo.matches import match_neighbours
from neus.stereo.region_from_matches import read_located_scene


@dataclass(frozen=True)
class SceneCheck:
    """All that a check has measured and found.

    Attributes:
        facts: of each view.
        shape: of masks.
        photos: of matches between images, or None if they were not matched or are not to be judged.
        findings: what looks wrong, gravest first.
        unchecked: what could not be checked, and why.
        seconds: that the check took, without reading the scene.
        notes: of what the reader warned.
    """

    facts: ViewFacts
    shape: ShapeMeasures
    photos: ImageMeasures | None
    findings: list[Finding]
    unchecked: list[str]
    seconds: float
    notes: list[str] = field(default_factory=list)


class Attempts:
    """Runs parts of a check; one that fails unexpectedly is listed in `failed` and leaves the others standing."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def __call__(self, what: str, part: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
        """The result of `part(*arguments)`, or `otherwise`."""
        try:
            return part(*arguments)
        except Exception as error:  # whatever a library raises: the rest of the check is worth having
            reason = " ".join(str(error).split())[:160]
            self.failed.append(f"{what}: failed with {type(error).__name__}" + (f" ({reason})" if reason else ""))
            return otherwise


def read_for_check(
    folder: Path,
    dataset: DatasetConfig,
    on_progress: Callable[[int, int], None] | None = None,
    on_start: Callable[[str], None] | None = None,
) -> tuple[Scene, list[str]]:
    """The scene, and its reader's warnings; cameras may be anywhere, since the check names all that do not fit.

    Where no region of interest can be found, it is the sphere that fits into the images. Errors and
    what is called meanwhile: as for `read_located_scene`.
    """
    anywhere = replace(dataset, camera_outside_sphere=False)
    notes = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        try:
            scene = read_located_scene(Path(folder), anywhere, on_progress, on_start)
        except RegionError as error:
            anywhere = replace(anywhere, region=OBJECT, center=(0.0, 0.0, 0.0), radius=1.0)
            world = read_scene(Path(folder), anywhere, False, on_progress)
            try:
                scene = framed(world, region_from_axes(world))
            except InputError:
                raise error from None
            if not isinstance(error, MasksDisagree) and intrinsics_fault(scene) is None:
                notes.append(str(error))
    # The check itself has findings about masks.
    told = [w for w in caught if issubclass(w.category, InputWarning) and not issubclass(w.category, MaskWarning)]
    return scene, [*dict.fromkeys(str(warning.message) for warning in told), *notes]


def check_scene(scene: Scene, fast: bool = False, notes: Sequence[str] = ()) -> SceneCheck:
    """Measures a scene and reports what looks wrong.

    Args:
        scene: as read.
        fast: without matching images: intrinsics, masks, cameras and sphere only, a second or two for 49 views.
        notes: of what the reader warned, from `read_for_check`; each is a finding.
    """
    started = time.monotonic()
    attempt = Attempts()
    facts, photos = view_facts(scene), None
    shape = attempt("masks against each other", measure_shape, scene, otherwise=ShapeMeasures())
    findings = [Finding("reading", (), note.rstrip(".")) for note in notes]
    images = attempt("brightness of the images", lambda: image_findings(scene, measure_images(scene)), otherwise=[])
    pairs = None if fast else attempt("order, poses, exposure: matches between images", match_neighbours, scene)
    wrong_size = attempt("intrinsics", intrinsics_findings, scene, pairs or [], otherwise=[])
    unchecked = [shape.unchecked] if shape.unchecked else []
    if wrong_size:
        findings += wrong_size + mask_findings(scene, facts) + images
        unchecked.append("masks, poses, order, region of interest, exposure: not before the intrinsics are right")
    else:
        findings += silhouette_findings(shape)
        if shape.inverted:  # all else is judged with right masks
            scene = complement(scene)
            facts, shape = view_facts(scene), attempt("masks", measure_shape, scene, otherwise=ShapeMeasures())
        findings += camera_findings(scene, facts, shape) + mask_findings(scene, facts) + images
        if not masks_agree(shape):
            unchecked.append("region of interest by masks: not before the masks agree")
        findings += attempt("region of interest by masks", region_findings, scene, facts, shape, otherwise=[])
        if pairs is not None:
            photos = attempt("order, poses, exposure", measure_consistency, scene, pairs, attempt)
        if photos is not None:
            more, also_unchecked = photo_consistency_findings(scene, photos, attempt)
            known = {finding.kind for finding in findings}
            findings += [finding for finding in more if finding.kind not in known]
            findings = _of_one_cause(findings, set(photos.wrong))
            unchecked += also_unchecked
    seconds = time.monotonic() - started
    return SceneCheck(facts, shape, photos, findings, unchecked + attempt.failed, seconds, list(notes))


def _of_one_cause(findings: list[Finding], misplaced: set[int]) -> list[Finding]:
    """The findings without those that follow from others.

    The mask of a view with a wrong pose fits nothing, so masks of such views are not to blame; and cameras inside a sphere
    that is too large need no other sphere than the one advised.
    """
    regions = [finding for finding in findings if finding.kind.startswith("region_")]
    kept = []
    for finding in findings:
        if finding.kind in ("masks_disagree", "masks_off_object") and finding.views:
            views = tuple(view for view in finding.views if view not in misplaced)
            if not views:
                continue
        elif finding.kind == "camera_inside" and regions:
            finding = replace(finding, suggestion=regions[-1].suggestion, settings=regions[-1].settings)
        kept.append(finding)
    return kept


def warn_of_findings(scene: Scene) -> None:
    """One InputWarning for each finding of the fast part that the reader of the scene did not warn of already."""
    result = check_scene(scene, fast=True)
    for finding in result.findings:
        if not _told_by_reader(finding, result.facts):
            line = f"{scene.source}: {finding.line(scene.names)} (more: neus check)"
            warnings.warn(line, InputWarning, stacklevel=2)


def _told_by_reader(finding: Finding, facts: ViewFacts) -> bool:
    """Black masks and masks all white are warned of by the reader; cameras inside it takes only where they are allowed."""
    fractions = facts.mask_fraction[list(finding.views)]
    is_black = finding.kind == "masks_empty" and (fractions == 0.0).all()
    is_white = finding.kind == "masks_full" and len(fractions) == len(facts.mask_fraction)
    return bool(is_black or is_white or finding.kind == "camera_inside")


def summary_lines(scene: Scene, result: SceneCheck) -> list[str]:
    """What `neus check` prints: facts, what could not be checked, findings."""
    lines = [*facts_lines(scene, result), *(f"not checked: {line}" for line in result.unchecked)]
    if not result.findings:
        return [*lines, f"nothing wrong found in {result.seconds:.1f} s"]
    lines.append(f"{len(result.findings)} found in {result.seconds:.1f} s:")
    return [*lines, *(f"warning: {finding.line(scene.names)}" for finding in result.findings)]


def facts_lines(scene: Scene, result: SceneCheck) -> list[str]:
    """The measures in a few lines."""
    shape, facts = result.shape, result.facts
    sizes = sorted(set(scene.sizes))
    size = f"{sizes[0][0]}x{sizes[0][1]}" + (f" to {sizes[-1][0]}x{sizes[-1][1]}" if len(sizes) > 1 else "")
    lines = [f"views: {len(scene)} of {size} pixels, format {scene.format}", region_line(scene)]
    if scene.masks is not None:
        inverted = ", once inverted" if any(finding.kind == "masks_inverted" for finding in result.findings) else ""
        lines.append(f"masks: {_range(100 * facts.mask_fraction, '%')} of the pixels on the object{inverted}")
    lines.append(
        f"cameras: {_range(facts.distance)} from the centre of the unit sphere, {facts.largest_angle:.0f} degrees between "
        f"the outermost; {_range(100 * facts.sphere_fraction, '%')} of the pixels see the sphere"
    )
    if shape.silhouettes is not None and shape.hull_reach is not None:
        lines.append(
            f"object: 95% of the visual hull within {shape.hull_reach:.2f} of the unit sphere's radius; "
            f"{_range(100 * shape.silhouettes.missed, '%')} of a mask outside of the hull of the others"
        )
    if result.photos is not None and result.photos.pairs:
        photos = result.photos
        lines.append(
            f"images: {len(photos.pairs)} pairs matched, {100 * float(np.median(photos.fits)):.0f}% of the matches "
            f"fit the cameras; brightness {_range(photos.brightness)} of the usual view's"
        )
    return lines


def _range(values: np.ndarray, unit: str = "") -> str:
    if not np.isfinite(values).any():
        return "unknown"
    low, high = (f"{float(bound(values)):.3g}" for bound in (np.nanmin, np.nanmax))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def check_record(scene: Scene, result: SceneCheck) -> dict[str, Any]:
    """Everything for a JSON file; numbers that are not known are null."""
    facts, shape, photos = result.facts, result.shape, result.photos
    views = {
        "name": scene.names,
        "width": [width for width, _ in scene.sizes],
        "height": [height for _, height in scene.sizes],
        "mask_fraction": facts.mask_fraction,
        "mask_outside_sphere": facts.mask_outside,
        "sphere_fraction": facts.sphere_fraction,
        "camera_distance": facts.distance,
        "degrees_off_center": facts.off_center,
    }
    if shape.silhouettes is not None:
        views |= {"mask_missed_by_hull": shape.silhouettes.missed, "hull_beyond_mask": shape.silhouettes.beyond}
    if photos is not None:
        views |= {"misfit_fraction": photos.misfit_fractions, "brightness": photos.brightness, "exposure": photos.exposures}
        views |= {"object_points_outside_mask": photos.outside}
    return {
        "scene": str(scene.source),
        "format": scene.format,
        "n_views": len(scene),
        "region": region_settings(scene),
        "warnings": result.notes,
        "findings": [finding.record(scene.names) for finding in result.findings],
        "unchecked": result.unchecked,
        "hull_reach": shape.hull_reach,
        "n_pairs": None if photos is None else len(photos.pairs),
        "seconds": round(result.seconds, 2),
        "views": [{key: _plain(column[view]) for key, column in views.items()} for view in range(len(scene))],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if np.isfinite(value) else None
    return value
