"""What is wrong with a scene, before hours are spent on it: measures, findings in plain words, a picture."""

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neus.datasets.findings import Finding
from neus.datasets.images import write_picture
from neus.datasets.photo_findings import PhotoMeasures, measure_photographs, photo_findings
from neus.datasets.readers import DatasetConfig, read_scene
from neus.datasets.scene import Scene
from neus.datasets.shape_findings import ShapeMeasures, measure_shape, shape_findings
from neus.datasets.view_facts import ViewFacts
from neus.errors import InputWarning
from neus.experiment.check_picture import check_picture
from neus.files import write_json

FILE, PICTURE = "check.json", "check.png"


@dataclass(frozen=True)
class SceneCheck:
    """All that a check has measured and found.

    Attributes:
        shape: of masks, cameras and sphere.
        photos: of matches between photographs, or None if they were not matched.
        findings: what looks wrong, gravest first.
        unchecked: what could not be checked, and why.
        seconds: that the check took, without reading the scene.
    """

    shape: ShapeMeasures
    photos: PhotoMeasures | None
    findings: list[Finding]
    unchecked: list[str]
    seconds: float


def read_for_check(folder: Path, dataset: DatasetConfig) -> Scene:
    """The scene, cameras within the unit sphere allowed: the check names all of them. Raises as `read_scene`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # the check says the same, with all views
        return read_scene(Path(folder), replace(dataset, camera_outside_sphere=False))


def check_scene(scene: Scene, fast: bool = False) -> SceneCheck:
    """Measures a scene and says what looks wrong.

    Args:
        scene: as read.
        fast: without matching photographs: masks, cameras and sphere only, a second or two for 49 views.
    """
    started = time.monotonic()
    shape = measure_shape(scene)
    findings, unchecked = shape_findings(scene, shape)
    photos = None
    if not fast:
        photos = measure_photographs(scene)
        more, also_unchecked = photo_findings(scene, photos)
        known = {finding.kind for finding in findings}
        findings += [finding for finding in more if finding.kind not in known]
        unchecked += also_unchecked
    return SceneCheck(shape, photos, findings, unchecked, time.monotonic() - started)


def warn_of_findings(scene: Scene) -> None:
    """One InputWarning for each finding of the fast part that reading the scene did not tell of already."""
    result = check_scene(scene, fast=True)
    for finding in result.findings:
        if not _told_by_reader(finding, result.shape.facts):
            line = f"{scene.source}: {finding.line(scene.names)} (more: neus check)"
            warnings.warn(line, InputWarning, stacklevel=2)


def _told_by_reader(finding: Finding, facts: ViewFacts) -> bool:
    """Black masks and masks all white are warned of by the reader; cameras inside it takes only where they are allowed."""
    shares = facts.mask_share[list(finding.views)]
    is_black = finding.kind == "masks_empty" and (shares == 0.0).all()
    is_white = finding.kind == "masks_full" and len(shares) == len(facts.mask_share)
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
    shape, facts = result.shape, result.shape.facts
    sizes = sorted({(image.shape[1], image.shape[0]) for image in scene.images})
    size = f"{sizes[0][0]}x{sizes[0][1]}" + (f" to {sizes[-1][0]}x{sizes[-1][1]}" if len(sizes) > 1 else "")
    lines = [f"views: {len(scene)} of {size} pixels, format {scene.format}"]
    if scene.masks is not None:
        lines.append(f"masks: {_range(100 * facts.mask_share, '%')} of the pixels on the object")
    lines.append(
        f"cameras: {_range(facts.distance)} from the centre of the unit sphere, {facts.largest_angle:.0f} degrees between "
        f"the outermost; {_range(100 * facts.sphere_share, '%')} of the pixels look into the sphere"
    )
    if shape.silhouettes is not None:
        lines.append(
            f"object: 95% of the visual hull within {shape.hull_reach:.2f} of the unit sphere's radius; "
            f"{_range(100 * shape.silhouettes.missed, '%')} of a mask outside of the hull of the others"
        )
    if result.photos is not None and result.photos.pairs:
        photos = result.photos
        lines.append(
            f"photographs: {len(photos.pairs)} pairs matched, {100 * float(np.median(photos.fits)):.0f}% of the matches "
            f"fit the cameras; brightness {_range(photos.brightness)} of the usual view's"
        )
    return lines


def _range(values: np.ndarray, unit: str = "") -> str:
    low, high = (f"{float(bound(values)):.3g}" for bound in (np.nanmin, np.nanmax))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def check_record(scene: Scene, result: SceneCheck) -> dict[str, Any]:
    """Everything for a JSON file; numbers that are not known are null."""
    facts, shape, photos = result.shape.facts, result.shape, result.photos
    views = {
        "name": scene.names,
        "width": [image.shape[1] for image in scene.images],
        "height": [image.shape[0] for image in scene.images],
        "mask_share": facts.mask_share,
        "mask_outside_sphere": facts.mask_outside,
        "sphere_share": facts.sphere_share,
        "camera_distance": facts.distance,
        "degrees_off_center": facts.off_center,
    }
    if shape.silhouettes is not None:
        views |= {"mask_missed_by_hull": shape.silhouettes.missed, "hull_beyond_mask": shape.silhouettes.beyond}
    if photos is not None:
        views |= {"misfit_share": photos.misfit_shares, "brightness": photos.brightness, "exposure": photos.exposures}
        views |= {"object_points_outside_mask": photos.outside}
    return {
        "scene": str(scene.source),
        "format": scene.format,
        "n_views": len(scene),
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


def write_check(scene: Scene, result: SceneCheck, folder: Path) -> Path:
    """The folder, in which check.json and check.png now lie.

    Raises:
        InputError: it cannot be written.
    """
    folder = Path(folder)
    write_json(folder / FILE, check_record(scene, result))
    write_picture(folder / PICTURE, check_picture(scene, result.findings, result.shape.silhouettes))
    return folder
