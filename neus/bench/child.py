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

from neus.processes import EXIT_ORPHANED, end_with_parent, reason_of

PACKAGE_ROOT = Path(__file__).resolve().parents[2]


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


if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("neus", run_name="__main__", alter_sys=True)
