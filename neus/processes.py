"""Processes that end with the one that started them, and why they failed, in one line."""

import os
import threading
from pathlib import Path

EXIT_ORPHANED = 143
# Enough of a log's end to hold the error.
TAIL_BYTES = 8192


def end_with_parent() -> None:
    """Ends this process once the pipe that it has as stdin closes, which happens with its parent, even when that is killed."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def reason_of(status: int, log: Path) -> str:
    """One line for why a command failed, from its exit status and the end of its output; empty if it did not."""
    if status == 0:
        return ""
    if status < 0:
        return f"killed by signal {-status}" + (" (out of memory?)" if status == -9 else "")
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"exit status {status}"])[-1].removeprefix("error: ")


def _wait_for_end() -> None:
    # Not sys.stdin, whose lock this thread would still hold when the interpreter ends.
    while os.read(0, 1):
        pass
    os._exit(EXIT_ORPHANED)
