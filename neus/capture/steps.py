"""Runs steps of structure from motion in processes of their own and tells how far they are."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from neus.files import written_whole
from neus.processes import reason_of

# Seconds between looks at how far a step is.
LOOK_EVERY = 0.5
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class StepFailed(RuntimeError):
    """A step that ended with an error or was killed; the message says why."""


def run_step(
    step: str,
    job: str,
    place: Path,
    on_progress: Callable[[int, int], None] | None = None,
    count: Callable[[], tuple[int, int]] | None = None,
) -> None:
    """Runs a step of `colmap_step`.

    Args:
        step: of `colmap_step.STEPS`.
        job: what it works on, in JSON.
        place: job and log are kept in files of this name, with endings of their own.
        on_progress: receives how much is done, and of how much.
        count: tells that; None takes it from the step's output.

    Raises:
        StepFailed: it ended with an error, or was killed.
    """
    file, log, output = (place.with_suffix(f".{step}.{ending}") for ending in ("json", "log", "out"))
    with written_whole(file) as beside:
        beside.write_text(job, encoding="utf-8")
    paths = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Its arithmetic is threaded by COLMAP itself; pools of BLAS beside it would only be in the way.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "neus.capture.colmap_step", step, str(file)]
    with open(log, "wb") as errors, open(output, "wb") as lines:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=lines, stderr=errors, env=environment)
        try:
            while child.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(LOOK_EVERY)
                if on_progress:
                    on_progress(*(count() if count else _last_progress(output)))
        except BaseException:
            child.kill()
            raise
        finally:
            child.stdin.close()
            status = child.wait()
    if status != 0:
        raise StepFailed(reason_of(status, log))


def _last_progress(output: Path) -> tuple[int, int]:
    """The numbers of the last whole line `progress DONE TOTAL` of a file."""
    lines = [line.split() for line in output.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]]
    found = [words for words in lines if words[:1] == ["progress"]]
    return (int(found[-1][1]), int(found[-1][2])) if found else (0, 1)
