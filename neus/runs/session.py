"""What one call of `train` did, for the report: its command, machine, stages and warnings, in RUN/sessions.jsonl."""

import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neus.errors import InputWarning
from neus.files import json_text, written_whole
from neus.scenes.scene import Scene
from neus.version import VERSION

FILE = "sessions.jsonl"
# Status of a session: the last is what a killed process leaves behind.
FINISHED, STOPPED, FAILED, UNDER_WAY = "finished", "stopped before the end", "failed", "under way"


class Session:
    """One call of `train`; a run that is resumed has several.

    Attributes:
        record: what is written, plain numbers and text.
        scene: all views, once they are read, so that the report need not read them again.
    """

    def __init__(
        self, command: str = "", started: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self.scene = clock, None
        self.record: dict[str, Any] = {
            "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "command": command,
            "state": UNDER_WAY,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "versions": versions(),
            "seconds": {},
            "warnings": [],
        }
        self.scene: Scene | None
        if started is not None:
            self.record["seconds"]["starting the program"] = round(clock() - started, 3)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        started, seconds = self._clock(), self.record["seconds"]
        try:
            yield
        finally:
            seconds[name] = round(seconds.get(name, 0.0) + self._clock() - started, 3)

    @contextmanager
    def noting_warnings(self) -> Iterator[None]:
        """Keeps what is warned of in the block; it is shown as before."""
        show = warnings.showwarning

        def shown_and_kept(message: Warning, category: type, *where: Any, **more: Any) -> None:
            if issubclass(category, InputWarning):
                self.warn(str(message))
            show(message, category, *where, **more)

        warnings.showwarning = shown_and_kept
        try:
            yield
        finally:
            warnings.showwarning = show

    def warn(self, text: str) -> None:
        """Keeps one line that a user should see, once."""
        if text not in self.record["warnings"]:
            self.record["warnings"].append(text)

    def save(self, folder: Path) -> None:
        """Writes this session as the last line of RUN/sessions.jsonl, in place of what it wrote there before."""
        earlier = [line for line in read_sessions(folder) if line.get("began") != self.record["began"]]
        with written_whole(folder / FILE) as beside:
            beside.write_text("".join(json_text(r) + "\n" for r in [*earlier, self.record]), encoding="utf-8")


def versions() -> dict[str, str]:
    """What the numbers of a run depend on, by name."""
    return {
        "neus": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """The sessions of a run in their order; none for a run that did not note them. Damaged lines are left out."""
    path = folder / FILE
    sessions = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict):
            sessions.append(line)
    return sessions


def device_name(device: torch.device) -> str:
    """The device, and its model where that is known."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
