"""A command in a process of its own that ends with the process that started it, however that ends.

The child reads from a pipe that its parent never writes to and that closes with the parent, even when that is killed:
otherwise a killed benchmark would leave a training behind that goes on writing to the folder of the next.
"""

import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path

EXIT_ORPHANED = 143
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
# Enough of a log's end to hold the error.
TAIL_BYTES = 8192


class Children:
    """Starts commands of `neus` and can end all that are running."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen] = set()
        self._lock, self._is_stopping = threading.Lock(), False

    def run(self, arguments: list[str], log: Path) -> tuple[int, str]:
        """Runs `neus ARGUMENTS`, its output added to a file; its exit status, and in one line why it failed."""
        paths = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as output:
            output.write(f"$ neus {' '.join(arguments)}\n".encode())
            output.flush()
            with self._lock:
                if self._is_stopping:
                    return EXIT_ORPHANED, "stopped"
                child = subprocess.Popen(
                    [sys.executable, "-m", "neus.bench.child", *arguments],
                    stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment,
                )  # fmt: skip
                self._running.add(child)
            try:
                status = child.wait()
            finally:
                with self._lock:
                    self._running.discard(child)
                child.stdin.close()
        return status, "interrupted" if status and self._is_stopping else reason_of(status, log)

    def stop(self) -> None:
        """Ends all, and starts no other."""
        with self._lock:
            self._is_stopping = True
            for child in self._running:
                child.terminate()


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


def _end_with_parent() -> None:
    # Not sys.stdin, whose lock this thread would still hold when the interpreter ends.
    while os.read(0, 1):
        pass
    os._exit(EXIT_ORPHANED)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("neus", run_name="__main__", alter_sys=True)
