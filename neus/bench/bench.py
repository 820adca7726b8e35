"""Many runs, one after another or one at a time on each device, to one table; the same call resumes it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neus.bench.page import MARKER, bench_page
from neus.bench.published import published_values
from neus.bench.run import BenchRun, RunCommand, complete, record_of
from neus.bench.scores import BUILT_IN
from neus.bench.table import rows_from_records
from neus.errors import InputError
from neus.files import write_json, written_whole
from neus.scenes.synthetic import write_synthetic
from neus.scenes.synthetic_kinds import SyntheticKind, kind_of
from neus.training.hooks import clock_time

# The built-in scene as `neus bench` images it.
VIEWS, WIDTH, HEIGHT = 48, 320, 240
SECONDS_BETWEEN_POLLS = 0.1
# Beside the page given as `results`: what was tried, and how. The page points to it if it is there.
HAND_WRITTEN = "experiments.md"


def scene_folder(scene: str, out: Path) -> tuple[str, Path]:
    """Name and folder of a scene as given on the command line; a synthetic one is written below `out`.

    Raises:
        InputError: no such folder, or an unknown kind of synthetic scene.
    """
    if scene == BUILT_IN or scene.startswith(f"{BUILT_IN}:"):
        kind = kind_of(scene.partition(":")[2]) if scene != BUILT_IN else SyntheticKind()
        name = BUILT_IN if kind == SyntheticKind() else f"{BUILT_IN}:{kind}"
        folder = out / "scenes" / f"{name.replace(':', '-')}_{VIEWS}x{WIDTH}x{HEIGHT}"
        return name, folder if folder.is_dir() else write_synthetic(folder, VIEWS, WIDTH, HEIGHT, kind=kind)
    path = Path(scene)
    if not path.exists():
        raise InputError(f"{scene}: no such scene; give its folder, or `{BUILT_IN}` for the built-in one, `{BUILT_IN}:KIND` for others.")
    return (path.resolve() if path.is_dir() else path.resolve().parent).name, path


def check_distinct(runs: Sequence[BenchRun]) -> None:
    """InputError if two runs would write to the same folder."""
    seen: dict[str, BenchRun] = {}
    for run in runs:
        if run.name in seen:
            other = seen[run.name]
            what = f"{other.data} and {run.data}" if other.data != run.data else f"{other.conf} and {run.conf}"
            raise InputError(f"{run.name}: requested twice ({what}); leave one out, or give one of them another name.")
        seen[run.name] = run


class Bench:
    """The runs of one table.

    Attributes:
        runs: in the order in which they are done.
        out: folder of everything.
        devices: one run at a time on each.
        run_command: runs `train` and `evaluate`.
        on_line: receives a line for every finished run.
    """

    def __init__(
        self,
        runs: Sequence[BenchRun],
        out: Path,
        devices: Sequence[str],
        run_command: RunCommand,
        on_line: Callable[[str], None],
    ) -> None:
        self.runs, self.out, self.devices = list(runs), out, list(devices)
        self.run_command, self.on_line = run_command, on_line
        self.records: dict[str, dict[str, Any]] = {}
        self._lock, self._is_stopping, self._failure = threading.Lock(), False, None
        self._threads: list[threading.Thread] = []

    def forget(self) -> None:
        """Lets every run be done anew."""
        for run in self.runs:
            record_of(run, self.out).path.unlink(missing_ok=True)

    def go(self, on_change: Callable[[], None]) -> bool:
        """Does all that is not done; whether every run worked.

        Args:
            on_change: called after each run.
        """
        waiting = deque(run for run in self.runs if not self._keep_if_done(run))
        if self.records:
            self.on_line(f"{len(self.records)} of {len(self.runs)} runs are done already")
        on_change()
        self._threads = [
            threading.Thread(target=self._work, args=(device, waiting, on_change), daemon=True)
            for device in self.devices
        ]
        for thread in self._threads:
            thread.start()
        self.wait()
        if self._failure:
            raise self._failure
        return all(record["status"] == "done" for record in self.all_records())

    def stop(self) -> None:
        """Lets no further run begin; one that fails from now on was cut off and is no failure."""
        self._is_stopping = True

    def wait(self) -> None:
        """Until the runs that have begun are over."""
        # Not by `join`: an interrupt that comes as it begins to wait is seen when it has waited, and one that comes later makes
        # Python 3.11 take the thread for finished.
        while any(thread.is_alive() for thread in self._threads):
            time.sleep(SECONDS_BETWEEN_POLLS)

    def all_records(self) -> list[dict[str, Any]]:
        """One record for each run, in order, also for those that were not started."""
        return [self.records.get(run.name) or _untouched(run) for run in self.runs]

    def _keep_if_done(self, run: BenchRun) -> bool:
        record = record_of(run, self.out)
        if record.is_done(run.settings(self.devices[0])) and record.facts.get("status") == "done":
            self.records[run.name] = record.as_dict()
            return True
        return False

    def _work(self, device: str, waiting: deque[BenchRun], on_change: Callable[[], None]) -> None:
        try:
            while not self._is_stopping and self._failure is None:
                with self._lock:
                    if not waiting:
                        return
                    run = waiting.popleft()
                record = complete(run, self.out, device, self.run_command).as_dict()
                if self._is_stopping and record["status"] != "done":
                    return
                with self._lock:
                    self.records[run.name] = record
                    on_change()
                    self.on_line(self._line(run, record))
        except Exception as error:  # such as a full disk; raised again where all threads meet
            self._failure = error

    def _line(self, run: BenchRun, record: dict[str, Any]) -> str:
        left = [r for r in self.runs if r.name not in self.records]
        done = [r for r in self.records.values() if r["status"] == "done"]
        ahead = ""
        if left and done:
            ahead = f"; {len(left)} to go, about {clock_time(seconds_left(left, done, len(self.devices)))} min"
        title = f"[{len(self.records)}/{len(self.runs)}] {run.scene}, {run.conf.stem}, {run.length}, seed {run.seed}: "
        return title + outcome(record) + ahead


def outcome(record: dict[str, Any]) -> str:
    """What came out of a run, in a few words."""
    if record["status"] != "done":
        return f"failed: {record['reason']}"
    scores = {k: v for part in record["parts"].values() for k, v in part["scores"].items()}
    said = [
        f"{words} {scores[key]:.{digits}f} {unit}"
        for key, words, digits, unit in (
            ("psnr_masked", "PSNR in the mask", 2, "dB"),
            ("exact_chamfer", "Chamfer", 3, "mm"),
            ("feature_mean", "feature points", 2, "mm"),
            ("dtu_chamfer", "DTU Chamfer", 2, "mm"),
        )
        if key in scores
    ]
    if "psnr_masked" not in scores and "psnr" in scores:
        said.insert(0, f"PSNR {scores['psnr']:.2f} dB")
    return f"{', '.join(said)} in {clock_time(_seconds(record))} min"


def seconds_left(left: Sequence[BenchRun], done: Sequence[dict[str, Any]], n_devices: int) -> float:
    """Seconds that the runs left will take: their minutes, and beside them what those done took beside theirs.

    >>> run = BenchRun("lego", Path("lego"), Path("quick.conf"), minutes=2.0)
    >>> seconds_left([run, run], [{"minutes": 1.0, "parts": {"train": {"seconds": 70.0}}}], n_devices=1)
    260.0
    """
    beside = [_seconds(record) - 60.0 * (record["minutes"] or 0.0) for record in done]
    planned = sum(60.0 * (run.minutes or 0.0) for run in left)
    return max(0.0, planned + len(left) * sum(beside) / len(beside)) / n_devices


def _seconds(record: dict[str, Any]) -> float:
    return sum(part["seconds"] for part in record["parts"].values())


def _untouched(run: BenchRun) -> dict[str, Any]:
    return {**run.facts(), "status": "waiting", "reason": "", "parts": {}}


def write_tables(bench: Bench, command: str, results: Path | None = None) -> None:
    """OUT/bench.json and OUT/bench.md, and the latter at `results` as well."""
    records = bench.all_records()
    rows, date = rows_from_records(records), time.strftime("%Y-%m-%d")
    content = {
        "command": command,
        "date": date,
        "rows": [asdict(row) for row in rows],
        "runs": records,
        "published": published_values(),
    }
    write_json(bench.out / "bench.json", content)
    for path in filter(None, (bench.out / "bench.md", results)):
        see_also = HAND_WRITTEN if path == results and path.with_name(HAND_WRITTEN).is_file() else ""
        with written_whole(path) as beside:
            beside.write_text(bench_page(rows, records, command, date, see_also), encoding="utf-8")


def check_results_path(path: Path) -> None:
    """InputError if a file that was written by hand is there."""
    if path.is_dir():
        raise InputError(f"--results {path}: is a folder, expected the name of a Markdown file.")
    if path.is_file() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARKER):
        raise InputError(
            f"--results {path}: was not written by `neus bench` and is not replaced; move it or name another file."
        )


@contextmanager
def only_one_in(out: Path) -> Iterator[None]:
    """Keeps a second benchmark out of the same folder; the lock goes with the process. Windows has none.

    Raises:
        InputError: another is at work there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{out}: another `neus bench` is at work there; wait for it or choose another folder."
            ) from None
        yield
