"""Attempts to pose the images of a capture, from the quickest on, until nearly all of them are."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from neus.capture.colmap_step import Group, Job, n_expected
from neus.capture.database import n_done, verified_pairs
from neus.capture.intake import FEATURE_SIDE, CapturedImage, reduced, write_grey
from neus.capture.models import best_model, counting
from neus.capture.stages import Stages
from neus.capture.steps import StepFailed, run_step
from neus.errors import InputError
from neus.files import write_json

# An attempt is good enough if this fraction of the images counts.
ENOUGH = 0.95
# Images below this along the longer side have features at half a pixel as well.
SMALL_SIDE = 1000
# Up to so many images all pairs are matched: it takes as long as their features.
ALL_PAIRS = 80
# More of the verified pairs than this say "nothing moved": a still background behind a turntable. None of nine other sets had any.
MOST_WATERMARKS = 0.2
# Poses are only looked for all at once (GLOMAP) where one after the other gave fewer than this: on a bust it gave the same images.
DESPERATE = 0.5
# Even if no time is left a model gets so many seconds.
LEAST_SECONDS = 30
# A step that failed with fewer bytes left on the disk failed for want of them.
LEAST_FREE = 20_000_000


@dataclass(frozen=True)
class Attempt:
    """How features are found.

    Attributes:
        name: in words.
        max_features: of an image.
        upsamples: whether images are doubled first, whatever their size.
        has_local_contrast: whether features are found on copies with local contrast.
    """

    name: str
    max_features: int
    upsamples: bool = False
    has_local_contrast: bool = True


ATTEMPTS = (
    Attempt("2048 features", 2048),
    Attempt("4096 features on doubled images", 4096, upsamples=True),
    Attempt("4096 features without local contrast", 4096, upsamples=True, has_local_contrast=False),
)


@dataclass(frozen=True)
class Outcome:
    """What an attempt has come to.

    Attributes:
        attempt: its name.
        database: COLMAP's database of it.
        model: the folder of its best model, or None.
        n_points: triangulated points of each image that this model poses.
        is_turntable: whether matches that stay in place were left out.
        fault: why a step failed, or empty.
    """

    attempt: str
    database: str
    model: str | None
    n_points: dict[str, int]
    is_turntable: bool = False
    fault: str = ""

    @property
    def posed(self) -> list[str]:
        """Names of the images that count."""
        return counting(self.n_points)

    @property
    def score(self) -> tuple[int, int]:
        """Images that count, then points."""
        return len(self.posed), sum(self.n_points.values())


@dataclass(frozen=True)
class Settings:
    """How all attempts are made.

    Attributes:
        pairs: of `colmap_step.Job`.
        seed: of everything random.
        n_threads: at a time.
        max_seconds: after which no other attempt begins and mapping ends, or None.
    """

    pairs: str
    seed: int = 0
    n_threads: int = 1
    max_seconds: float | None = None


def pairs_for(n_images: int, is_video: bool) -> str:
    """Which pairs are matched: neighbours and loops of a video, all of a few images, similar ones of many."""
    if is_video:
        return "video"
    return "all" if n_images <= ALL_PAIRS else "similar"


def climb(images: Sequence[CapturedImage], work: Path, settings: Settings, stages: Stages) -> list[Outcome]:
    """The outcomes of all attempts made, the best first: they end with the first that poses nearly all images.

    Args:
        images: taken in, their copies in `work`/images and `work`/features.
        work: folder for databases and models; attempts that it holds are not made again.
        settings: of all attempts.
        stages: are told.
    """
    outcomes: list[Outcome] = []
    for attempt in ATTEMPTS:
        if outcomes and settings.max_seconds is not None and stages.elapsed > settings.max_seconds:
            stages.message("no time is left for another attempt")
            break
        outcomes.append(_outcome_of(attempt, images, work, settings, stages))
        if len(outcomes[-1].posed) >= ENOUGH * len(images):
            break
        best = max(outcomes, key=lambda outcome: outcome.score)
        stages.message(f"{outcomes[-1].attempt}: {len(outcomes[-1].posed)} of {len(images)} images have a pose (best: {len(best.posed)})")
    return sorted(outcomes, key=lambda outcome: outcome.score, reverse=True)


def _outcome_of(
    attempt: Attempt, images: Sequence[CapturedImage], work: Path, settings: Settings, stages: Stages
) -> Outcome:
    """The outcome of one attempt, made now or found from before."""
    job = _job(attempt, images, work, settings)
    folder = Path(job.database).parent
    record = folder / "outcome.json"
    with suppress(OSError, ValueError, TypeError):
        return Outcome(**json.loads(record.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    _write_copies(attempt, images, work, stages)
    outcome = Outcome(attempt.name, job.database, None, {})
    try:
        outcome = _made(attempt, job, len(images), settings, stages)
    except StepFailed as error:
        free = shutil.disk_usage(work).free
        if free < LEAST_FREE:
            raise InputError(
                f"{work}: the disk is full ({free >> 20} MB left); free some space or choose a folder elsewhere, and run the command again."
            ) from error
        outcome = replace(outcome, fault=str(error))
        stages.message(f"{attempt.name}: failed ({error})")
        return outcome  # not kept: what failed is tried again next time
    write_json(record, asdict(outcome))
    return outcome


def _made(attempt: Attempt, job: Job, n_images: int, settings: Settings, stages: Stages) -> Outcome:
    _run("extract", job, "features", " images", stages)
    _run("match", job, "matching", " pairs", stages)
    is_turntable = _is_turntable(Path(job.database))
    if is_turntable:
        stages.message("the background stands still while the object turns: matches that do not move are left out")
        job = replace(job, filter_stationary=True)
        _run("verify", job, "matching", " pairs", stages)
    best: tuple[Path | None, dict[str, int]] = (None, {})
    for number, start in enumerate(_starts(job)):
        n_posed = len(counting(best[1]))
        if n_posed >= ENOUGH * n_images or (start.is_global and n_posed >= DESPERATE * n_images):
            break
        best = max(best, _mapped(number, start, settings, stages), key=lambda found: (len(counting(found[1])), sum(found[1].values())))
    model, n_points = best
    return Outcome(attempt.name, job.database, None if model is None else str(model), n_points, is_turntable)


def _starts(job: Job) -> list[Job]:
    """Ways to map the same matches, each for where those before it fall short."""
    lenient = replace(job, is_lenient=True, seed=job.seed + 1)
    return [job, lenient, replace(job, is_global=True)]


def _mapped(number: int, job: Job, settings: Settings, stages: Stages) -> tuple[Path | None, dict[str, int]]:
    """The best model of one mapping, and the points of its images."""
    models = Path(job.models) / f"start{number}"
    shutil.rmtree(models, ignore_errors=True)  # of a run that was killed
    models.parent.mkdir(parents=True, exist_ok=True)
    job = replace(job, models=str(models))
    if job.is_global:  # it writes to its database
        job = replace(job, database=str(shutil.copyfile(job.database, models.with_suffix(".db"))))
    if settings.max_seconds is not None:
        job = replace(job, max_seconds=max(LEAST_SECONDS, round(settings.max_seconds - stages.elapsed)))
    with stages.stage("mapping", " images") as progress:
        run_step("map", job.as_json(), models, progress)
    return best_model(models)


def _run(step: str, job: Job, stage: str, unit: str, stages: Stages) -> None:
    """Runs a step whose progress shows in its database."""
    database, total = Path(job.database), n_expected(step, job)
    with stages.stage(stage, unit) as progress:
        run_step(step, job.as_json(), database, progress, lambda: (min(n_done(step, database), total), total))


def _is_turntable(database: Path) -> bool:
    pairs = verified_pairs(database)
    return sum(pair.is_watermark for pair in pairs) > MOST_WATERMARKS * max(1, len(pairs))


def _job(attempt: Attempt, images: Sequence[CapturedImage], work: Path, settings: Settings) -> Job:
    """The job of an attempt, in a folder whose name stands for all that decides its outcome."""
    longest = max(max(image.feature_size) for image in images)
    job = Job(
        images=str(work / ("features" if attempt.has_local_contrast else "grey")),
        database="",
        models="",
        groups=groups_of(images),
        pairs=settings.pairs,
        max_features=attempt.max_features,
        first_octave=-1 if attempt.upsamples or longest < SMALL_SIDE else 0,
        seed=settings.seed,
        n_threads=settings.n_threads,
    )
    parts = [replace(job, n_threads=1, images="").as_json(), attempt.name, *(image.digest for image in images)]
    folder = work / "attempts" / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return replace(job, database=str(folder / "database.db"), models=str(folder / "models"))


def groups_of(images: Sequence[CapturedImage]) -> list[Group]:
    """One camera for the images of one device, focal length and size, with the focal length that its images note.

    Sizes and focal lengths are those of the copies for features.
    """
    groups: dict[tuple, list[CapturedImage]] = {}
    for image in images:
        groups.setdefault((image.device, image.size), []).append(image)
    made = []
    for members in groups.values():
        width, height = members[0].feature_size
        focal = members[0].focal
        made.append(Group([image.name for image in members], width, height, focal and focal * width / members[0].width))
    return made


def _write_copies(attempt: Attempt, images: Sequence[CapturedImage], work: Path, stages: Stages) -> None:
    """Grey copies without local contrast, for the attempt that needs them."""
    if attempt.has_local_contrast:
        return
    import cv2

    from neus.scenes.images import read_rgb

    with stages.stage("copies", " images") as progress:
        for number, image in enumerate(images):
            if not (work / "grey" / image.name).is_file():
                grey = cv2.cvtColor(read_rgb(work / "images" / image.name), cv2.COLOR_RGB2GRAY)
                write_grey(work / "grey" / image.name, reduced(grey, FEATURE_SIDE))
            progress(number + 1, len(images))
