"""The images of a capture, gathered once: those of a folder, or frames of a video; kept for a run that goes on after a kill."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from neus.capture.frames import choose, watch
from neus.capture.intake import Intake, intake_from, save_intake, take_in
from neus.capture.sources import Source
from neus.capture.stages import Stages
from neus.capture.video import video_facts, watched_frames, write_frames
from neus.errors import InputError, InputWarning, warn_of
from neus.files import json_text
from neus.version import VERSION

# Poses need parallax and a third view that confirms them.
FEWEST_IMAGES = 3


def key_of(source: Source, options: Mapping[str, Any]) -> str:
    """Stands for all that decides the result: the files by name, size and time, and the options."""
    stats = stats_of(source.root, [source.video] if source.video else source.files)
    return hashlib.sha256(json_text([VERSION, stats, options]).encode()).hexdigest()[:32]


def stats_of(root: Path, files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Name below `root`, bytes and time of change of each file: what stands for its content."""
    return [(file.relative_to(root).as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def gathered(source: Source, n_frames: int | None, work: Path, stages: Stages) -> Intake:
    """What is taken in of a source, now or by a run before that left it in the work folder.

    Args:
        source: images or a video.
        n_frames: of a video; None takes as many as its motion asks for.
        work: gets images/, features/ and intake.json.
        stages: are told.

    Raises:
        InputError: a video that cannot be used, no space, or HEIC without its package.

    Warns:
        InputWarning: steps of a video that are blurred or too fast.
    """
    record = work / "intake.json"
    stamp = key_of(source, {"n_frames": n_frames})
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(record.read_text(encoding="utf-8"))
        intake = intake_from({key: content[key] for key in ("images", "left_out")})
        copies = [work / folder / image.name for image in intake.images for folder in ("images", "features")]
        if content["stamp"] == stamp and all(copy.is_file() for copy in copies):
            return intake
    for folder in ("frames", "images", "features", "grey"):  # of other images, or of a run that was killed meanwhile
        shutil.rmtree(work / folder, ignore_errors=True)
    root, files = (source.root, source.files) if source.video is None else _frames(source.video, n_frames, work / "frames", stages)
    with stages.stage("reading", " images") as progress:
        intake = take_in(root, files, work / "images", work / "features", progress)
    shutil.rmtree(work / "frames", ignore_errors=True)
    save_intake(record, intake, stamp)
    return intake


def _frames(video: Path, n_frames: int | None, folder: Path, stages: Stages) -> tuple[Path, list[Path]]:
    """The folder of a video's frames, and those that are taken."""
    facts = video_facts(video)
    with stages.stage("watching", " frames") as progress:
        watched = watch(watched_frames(video), lambda done: progress(done, max(done, facts.n_frames)))
    chosen = choose(watched, n_frames)
    if chosen.n_too_fast:
        fast = f"{video}: in {chosen.n_too_fast} steps the camera moves too fast for neighbours to overlap; film more slowly."
        warnings.warn(fast, InputWarning, stacklevel=2)
    if chosen.blurred:
        numbers = [f"frame {number}" for number in chosen.blurred]
        warn_of(f"{video}: {len(numbers)} steps show blurred frames only, which are left out", numbers)
    if len(chosen.numbers) < FEWEST_IMAGES:
        raise InputError(
            f"{video}: {len(watched.motion)} frames, of which {len(chosen.numbers)} differ; expected a video that moves around an object, "
            "20 seconds or longer."
        )
    with stages.stage("writing frames", " frames"):
        return folder, write_frames(video, chosen.numbers, folder, facts.is_hdr)
