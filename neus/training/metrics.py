"""Scalars of a run: a plain `metrics.jsonl` and TensorBoard's event files."""

import json
import math
import os
from pathlib import Path

from neus.errors import InputError
from neus.files import json_text, written_whole

# Names under which users of NeuS look for these scalars in TensorBoard.
TENSORBOARD_NAMES = {
    "total": "Loss/loss",
    "color": "Loss/color_loss",
    "eikonal": "Loss/eikonal_loss",
    "mask": "Loss/mask_loss",
    "s_val": "Statistics/s_val",
    "weight_max": "Statistics/weight_max",
    "psnr": "Statistics/psnr",
    "sharpness": "Statistics/sharpness",
    "learning_rate": "Statistics/learning_rate",
    "rays_per_second": "Statistics/rays_per_second",
}


class MetricsWriter:
    """Writes named scalars of an iteration to both files; lines of a resumed run's lost future are dropped first."""

    def __init__(self, folder: Path, from_iteration: int) -> None:
        # Imported here: it takes seconds, and only training needs it.
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "metrics.jsonl"
        self._last = from_iteration
        self._open_after(from_iteration)
        self._board = SummaryWriter(str(folder / "logs"), purge_step=from_iteration + 1)

    def write(self, iteration: int, scalars: dict[str, float]) -> None:
        """One line `{"iteration": ..., name: value, ...}` and one TensorBoard point for each name."""
        if iteration <= self._last:  # training went back to a good state
            self._file.close()
            self._open_after(iteration - 1)
        self._last = iteration
        try:
            self._file.write(
                json_text({"iteration": iteration, **{k: round(v, 8) for k, v in scalars.items()}}) + "\n"
            )
            for name, value in scalars.items():
                self._board.add_scalar(TENSORBOARD_NAMES.get(name, name), value, iteration)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); free some space and resume."
            ) from error

    def close(self) -> None:
        """Flushes both; call once at the end."""
        self._file.close()
        self._board.close()

    def _open_after(self, iteration: int) -> None:
        self._drop_lines_after(iteration)
        self._file = open(self.path, "a", buffering=1, encoding="utf-8")

    def _drop_lines_after(self, iteration: int) -> None:
        if not self.path.is_file():
            return
        lines = [line for line in read_metrics(self.path) if line["iteration"] <= iteration]
        with written_whole(self.path) as beside:
            beside.write_text("".join(json_text(line) + os.linesep for line in lines), encoding="utf-8")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`, null as NaN; a last line cut off by a crash is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break
        lines.append({name: math.nan if value is None else value for name, value in line.items()})
    return lines
