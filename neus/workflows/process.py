"""Images or a video of an unknown scene to a posed scene folder."""

import json
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neus.capture.coverage import widest_gap
from neus.capture.finish import FinishJob
from neus.capture.gather import FEWEST_IMAGES, gathered, key_of, stats_of
from neus.capture.intake import Intake
from neus.capture.ladder import Outcome, Settings, climb, pairs_for
from neus.capture.markers import scale_from_markers
from neus.capture.masks import find_masks, write_masks
from neus.capture.reasons import nothing_posed, why_not
from neus.capture.scene_folder import claim, put_in_place, read_capture, seal
from neus.capture.sources import Source, find_source
from neus.capture.stages import Stages
from neus.capture.steps import StepFailed, run_step
from neus.capture.upright import vertical_of
from neus.errors import InputError, InputWarning
from neus.geometry.poses import invert
from neus.geometry.similarity import transform_points
from neus.kernels.threads import n_threads
from neus.runs.console import QUIET, Console
from neus.scenes.colmap_model import read_model
from neus.scenes.readers import OBJECT, WHOLE_SCENE, DatasetConfig, read_scene
from neus.version import VERSION


@dataclass(frozen=True)
class CaptureResult:
    """A posed scene.

    Attributes:
        folder: it is read by `load_scene`.
        registered: names of the images that have a pose, below images/.
        unregistered: the files or frames that have none, each with the likely reason.
        seconds: of each stage.
        facts: numbers of the model: points, reprojection error (pixels of the copies for features), focal lengths (pixels of the
            images), `up`, `up_from`, `region` (`object`, or `scene` where the cameras do not look at one object), `gap_degrees` and
            `gap_between`.
        was_done: whether an earlier call had made the same scene.
    """

    folder: Path
    registered: list[str]
    unregistered: dict[str, str]
    seconds: dict[str, float]
    facts: dict[str, Any]
    was_done: bool = False


def process_capture(
    source: str | Path,
    out: str | Path,
    *,
    masks: str | Path | None = None,
    marker_edge: float | None = None,
    n_frames: int | None = None,
    seed: int = 0,
    max_minutes: float | None = None,
    command: str = "",
    console: Console = QUIET,
) -> CaptureResult:
    """Finds the poses of images or of frames of a video, and writes a COLMAP scene with `capture.json` beside.

    Work is kept in OUT/.capture until the scene is whole: after a kill the same call goes on where it was, and after success it
    returns at once.

    Args:
        source: a folder of images, subfolders included, or a video.
        out: a new or empty folder, or one that an earlier call wrote, whose scene is replaced.
        masks: folder of outlines of the object, one for each image; they become the scene's masks and do not change the poses, which
            the surroundings help to find.
        marker_edge: of printed ArUco or AprilTag markers that the images show, in the unit that the world is to have; None leaves the
            scale open.
        n_frames: taken of a video; None takes as many as its motion asks for.
        seed: of everything random.
        max_minutes: after which no other attempt begins; None makes all that are needed.
        command: for the record.
        console: where messages and progress go.

    Raises:
        InputError: nothing that can be posed, with the likely reason and a remedy; a folder that cannot be written.
    """
    source, out, masks = Path(source), Path(out), None if masks is None else Path(masks)
    found, stages = find_source(source), Stages(console)
    if masks is not None and not masks.is_dir():
        raise InputError(f"--masks {masks}: no such folder; expected one mask for each image, of the same name.")
    mask_files = [] if masks is None else stats_of(masks, sorted(masks.rglob("*")))
    key = key_of(found, {"n_frames": n_frames, "seed": seed, "masks": mask_files, "marker_edge": marker_edge})
    if (done := _done_before(out, key)) is not None:
        return done
    work = claim(out, source)
    try:
        intake = gathered(found, n_frames, work, stages)
        best, has_masks = _posed(source, found, intake, work, masks, seed, max_minutes, stages)
        model, facts = _finished(intake, best, work, stages)
        if marker_edge is not None:
            facts |= _scaled(model, work / "images", marker_edge, stages)
        put_in_place(out, model, best.posed, has_masks)
        facts |= _around(out, are_noted=found.video is not None or all(image.device for image in intake.images))
        unregistered = intake.left_out | _unposed(intake, best)
        notes = {
            "made_by": f"neus {VERSION}", "command": command, "key": key, "attempt": best.attempt, "registered": best.posed,
            "unregistered": unregistered, "seconds": stages.seconds, **facts,
        }  # fmt: skip
        seal(out, notes, facts["up"])
    except OSError as error:
        raise InputError(
            f"{out}: {error.strerror or error}; free some space or choose a folder elsewhere, and run the command again."
        ) from error
    if facts["region"] == WHOLE_SCENE:
        message = f"{out}: the cameras do not look at one object from outside; train on all that they see (--region scene)."
        warnings.warn(message, InputWarning, stacklevel=2)
    return CaptureResult(out, best.posed, unregistered, stages.seconds, facts)


def lines_about(result: CaptureResult) -> list[str]:
    """For people: images without a pose and why, how good the model is, where an image is missing most."""
    lines = ["poses made by an earlier command from the same files"] if result.was_done else []
    lines += [f"no pose: {name}: {reason}" for name, reason in result.unregistered.items()]
    facts, n_all = result.facts, len(result.registered) + len(result.unregistered)
    focal_lengths = ", ".join(f"{f:.0f}" for f in facts["focal_lengths"])
    lines.append(
        f"{len(result.registered)} of {n_all} images have a pose; {facts['n_points']} points, {facts['reprojection_error']:.2f} px, "
        f"focal length {focal_lengths} px; {sum(result.seconds.values()):.0f} s"
    )
    if facts["region"] == OBJECT and "gap_degrees" in facts:
        first, second = facts["gap_between"]
        lines.append(
            f"widest gap between cameras around the object: {facts['gap_degrees']:.0f} degrees, from {first} to {second}"
        )
    return lines


def _posed(
    source: Path,
    found: Source,
    intake: Intake,
    work: Path,
    masks: Path | None,
    seed: int,
    max_minutes: float | None,
    stages: Stages,
) -> tuple[Outcome, bool]:
    """The best outcome of all attempts, and whether there are masks."""
    if len(intake.images) < FEWEST_IMAGES:
        raise InputError(_too_few(source, intake))
    outlines = {} if masks is None else find_masks(masks, intake.images)
    if outlines:
        write_masks(outlines, intake.images, work / "images", work / "masks")
    settings = Settings(
        pairs_for(len(intake.images), found.video is not None),
        seed=seed,
        n_threads=n_threads(),
        max_seconds=None if max_minutes is None else 60.0 * max_minutes,
    )
    outcomes = climb(intake.images, work, settings, stages)
    best = outcomes[0]
    if len(best.posed) < FEWEST_IMAGES:
        raise InputError(f"{source}: {nothing_posed(intake.images, outcomes)}")
    return best, bool(outlines)


def _unposed(intake: Intake, best: Outcome) -> dict[str, str]:
    """The files without a pose, each with the likely reason."""
    originals = {image.name: image.original for image in intake.images}
    return {originals[name]: reason for name, reason in why_not(intake.images, best).items()}


def _scaled(place: Path, images: Path, marker_edge: float, stages: Stages) -> dict[str, Any]:
    """Gives a finished model the scale of the markers in its images; what they said."""
    import pycolmap

    model = pycolmap.Reconstruction(place)
    with stages.stage("measuring markers", " images"):
        scale = scale_from_markers(model, images, marker_edge)
    model.transform(pycolmap.Sim3d(scale.factor, pycolmap.Rotation3d(), np.zeros(3)))
    model.write_binary(place)
    return {"scale": {"from": "markers", "marker_edge": marker_edge, "n_markers": scale.n_markers, "spread": scale.spread}}


def _around(out: Path, are_noted: bool) -> dict[str, Any]:
    """`up` in the world of the scene, what it was found from, the region by which the scene can be read (`object` or `scene`), and the
    widest gap between cameras around it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # whoever reads the scene next is told
        region, points = OBJECT, read_model(out).points
        try:
            scene = read_scene(out, lazy=True)
        except InputError:  # the cameras of a room look outwards
            region = WHOLE_SCENE
            scene = read_scene(out, DatasetConfig(region=region), lazy=True)
    cameras = [scene.camera(view) for view in range(len(scene))]
    # Readers move and scale the world and do not turn it.
    vertical = vertical_of(cameras, transform_points(invert(scene.scene_to_world), points), are_noted)
    gap = widest_gap(cameras, vertical.up)
    around = {} if gap is None else {"gap_degrees": round(gap.degrees, 1), "gap_between": [scene.names[view] for view in gap.between]}
    return {"up": vertical.up.tolist(), "up_from": vertical.found_from, "region": region, **around}


def _done_before(out: Path, key: str) -> CaptureResult | None:
    with suppress(InputError, KeyError, TypeError):
        notes = read_capture(out)
        if notes.get("key") == key and all((out / "images" / name).is_file() for name in notes["registered"]):
            facts = {name: value for name, value in notes.items() if name not in _NOT_FACTS}
            return CaptureResult(out, notes["registered"], notes["unregistered"], notes["seconds"], facts, True)
    return None


_NOT_FACTS = ("made_by", "command", "key", "attempt", "registered", "unregistered", "seconds")


def _too_few(source: Path, intake: Intake) -> str:
    n_copies = sum(reason.startswith("a copy of") for reason in intake.left_out.values())
    what = f"{len(intake.images)} different images" if n_copies else f"{len(intake.images)} usable images"
    others = [f"{name}: {reason}" for name, reason in intake.left_out.items()][:3]
    left = f" ({len(intake.left_out)} left out: {'; '.join(others)})" if others else ""
    return f"{source}: {what}{left}, expected at least {FEWEST_IMAGES}, better 30 to 80 from all around; take more images."


def _finished(intake: Intake, best: Outcome, work: Path, stages: Stages) -> tuple[Path, dict[str, Any]]:
    """Folder and facts of the finished model."""
    sizes = {image.name: image.size for image in intake.images}
    job = FinishJob(best.model, str(work / "images"), sizes, str(work / "finished"), n_threads())
    with stages.stage("adjusting", " models") as progress:
        try:
            run_step("finish", job.as_json(), work / "finish", progress)
        except StepFailed as error:
            raise InputError(f"{work}: the last adjustment failed ({error}); free some memory and run the command again.") from error
    return Path(job.out), json.loads((Path(job.out) / "facts.json").read_text(encoding="utf-8"))
