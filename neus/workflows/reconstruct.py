"""Images or a video in, a textured model out: capture, training, mesh, texture, within one budget of minutes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.files import check_can_write, write_json
from neus.runs.console import QUIET, Console
from neus.scenes.readers import WHOLE_SCENE
from neus.texturing.files import SUFFIXES
from neus.workflows.jobs import free_run, new_job
from neus.workflows.process import CaptureResult, lines_about, process_capture
from neus.workflows.texture import TextureResult, texture_mesh
from neus.workflows.train import run_job

# Structure from motion takes at most this fraction of the minutes (spec of a capture: 40 %), so that training has most of them.
CAPTURE_FRACTION = 0.4
# Texturing 100 000 faces with 4096 texels takes about a minute on two cores; of short budgets it gets no more than this fraction.
TEXTURE_SECONDS, TEXTURE_FRACTION = 60.0, 0.15
# The initial shape and a mesh take about a minute on two cores; less than that is no training.
LEAST_TRAINING_MINUTES = 0.75
MINUTES, FACES = 10.0, 100_000


@dataclass(frozen=True)
class Reconstruction:
    """What a reconstruction has left.

    Attributes:
        model: the textured model.
        run: folder of the run, with its checkpoint, mesh and report; `run/scene` is the posed scene.
        capture: images that were registered, and the others with the likely reason.
        texture: facts of the texture; None if training was stopped.
        seconds: wall-clock time by stage.
    """

    model: Path | None
    run: Path
    capture: CaptureResult
    texture: TextureResult | None
    seconds: dict[str, float]


def reconstruct(
    source: str | Path,
    out: str | Path,
    minutes: float = MINUTES,
    run: str | Path | None = None,
    masks: Path | None = None,
    faces: int = FACES,
    preset: str = "quick",
    overrides: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    started: float | None = None,
    command: str = "",
    console: Console = QUIET,
) -> Reconstruction:
    """A textured model of the object that images or a video show, and the run that it was made by.

    The capture is kept in RUN/scene and is not made again when the same images are given with the same run.

    Args:
        source: folder of images, or a video file.
        out: .glb, .obj, .usdz, .ply or .stl file to write.
        minutes: wall-clock budget from `started` to the model; structure from motion, training and texturing share it.
        run: folder of the run; None is runs/NAME, or a free name beside it.
        masks: folder of outlines of the object, one for each image; None trains without.
        faces: of the model.
        preset: as in `neus.train`.
        overrides: config values, `section.key=value` each.
        seed: of everything random.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        overwrite: replace an earlier run in `run`; its capture is kept where it is of the same images.
        started: `time.monotonic()` at the start of the command; None is now.
        command: for the record.
        console: where messages and progress go.

    Raises:
        InputError: something wrong with the images, the settings or the files, or too few minutes for what is left to do.
        TrainingDiverged: as in `neus.train`.
    """
    started = time.monotonic() if started is None else started
    source, out = Path(source), Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: unknown model format; name the file {', '.join(SUFFIXES)}.")
    check_can_write(out)
    name = str(source.with_suffix("") if source.is_file() else source)
    # The capture stays with the first run of the name, so that further runs begin with it.
    home = Path(run) if run is not None else free_run(name, overwrite=True)
    folder = Path(run) if run is not None else free_run(name, overwrite)
    seconds = _Stopwatch()
    capture = process_capture(
        source, home / "scene", masks=masks, seed=seed, max_minutes=minutes * CAPTURE_FRACTION, command=command, console=console
    )
    for line in lines_about(capture):
        console.message(line)
    seconds.stage("capture")
    texture_seconds = min(TEXTURE_SECONDS, TEXTURE_FRACTION * 60.0 * minutes)
    rest = minutes - (time.monotonic() - started + texture_seconds) / 60.0
    if rest < LEAST_TRAINING_MINUTES:
        raise InputError(
            f"{minutes:g} minutes: {rest:.1f} are left for training after the capture, at least {LEAST_TRAINING_MINUTES:g} are "
            f"needed; the posed scene is kept, so repeat the command, or give more --minutes."
        )
    if capture.facts.get("region") == WHOLE_SCENE:
        overrides = [f"dataset.region={WHOLE_SCENE}", *overrides]
    job = new_job(
        capture.folder,
        time.monotonic(),
        preset=preset,
        run=folder,
        overrides=overrides,
        seed=seed,
        minutes=rest,
        overwrite=overwrite,
        command=command,
        console=console,
    )
    trained = run_job(job, overwrite, device, console=console)
    seconds.stage("training")
    if trained.mesh is None:
        return Reconstruction(None, folder, capture, None, seconds.taken)
    texture = texture_mesh(folder, None, out, faces=faces, console=console)
    seconds.stage("texture")
    result = Reconstruction(out, folder, capture, texture, seconds.taken)
    write_json(folder / "reconstruction.json", _facts(result))
    console.message(", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.taken.items()))
    return result


class _Stopwatch:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._last = time.monotonic()

    def stage(self, name: str) -> None:
        """What went by since the last call belongs to stage `name`."""
        now = time.monotonic()
        self.taken[name], self._last = round(now - self._last, 1), now


def _facts(result: Reconstruction) -> dict[str, Any]:
    return {
        "model": str(result.model),
        "registered": len(result.capture.registered),
        "not_registered": dict(result.capture.unregistered),
        "seconds": result.seconds,
    }
