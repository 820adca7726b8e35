"""A run's folder: what is where in it, and whether it is this run's.

RUN/config.conf             every setting, as resolved
RUN/run.json                scene, views, versions
RUN/checkpoints/ckpt_*.pth  RUN/metrics.jsonl  RUN/logs/ (TensorBoard)
RUN/mesh.ply                after training with --minutes or --iterations, world units      RUN/mesh_scene.ply  in the scene frame
RUN/sessions.jsonl          command, machine, times and warnings of each call of train      RUN/report.html
RUN/validations_fine/  RUN/normals/  RUN/meshes/  RUN/render/  RUN/recording/   as in NeuS
"""

import json
import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.files import write_json, written_whole
from neus.runs.config import ExperimentConfig, config_text, read_config
from neus.runs.session import versions
from neus.training.checkpoint import checkpoints_in

# What a run writes; nothing else in the folder is touched by --overwrite.
OWN_FOLDERS = ("checkpoints", "logs", "validations_fine", "normals", "meshes", "render", "recording")
OWN_FILES = ("config.conf", "run.json", "metrics.jsonl", "mesh.ply", "mesh_scene.ply", "sessions.jsonl", "report.html")
OWN_NUMBERS = "evaluation*.json"  # one file for each thing that `evaluate` measured


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def latest_checkpoint(self) -> Path:
        """The newest checkpoint.

        Raises:
            InputError: no such folder, or no checkpoint in it.
        """
        if not self.path.is_dir():
            raise InputError(
                f"{self.path}: no such run folder; train first, or give the folder that `train --run` was given."
            )
        found = checkpoints_in(self.checkpoints)
        if not found:
            raise InputError(
                f"{self.checkpoints}: no checkpoint yet; train first (one is written every train.save_freq iterations)."
            )
        return found[-1]

    def holds_a_run(self) -> bool:
        """Whether something was trained here before that would be lost."""
        return bool(checkpoints_in(self.checkpoints))

    def prepare(self, config: ExperimentConfig, facts: dict[str, Any], resume: bool, overwrite: bool) -> None:
        """Makes the folder ready to train in, and records the settings.

        Args:
            config: of the run to be.
            facts: for `run.json`: scene, views.
            resume: continue with what is there.
            overwrite: remove what an earlier run wrote there.

        Raises:
            InputError: another run is there, there is none to resume, or the folder cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file, expected a folder to write the run to.")
        if resume:
            self.latest_checkpoint()
        elif self.holds_a_run() and not overwrite:
            raise InputError(
                f"{self.path}: already holds a run; continue it with --resume (--is_continue), replace it with --overwrite, "
                "or choose another folder."
            )
        if not resume:
            self._claim(overwrite)
        # First: it marks the folder as a run's.
        write_json(self.path / "run.json", {**facts, "versions": versions()})
        text = config_text(config)
        with written_whole(self.path / "config.conf") as beside:
            beside.write_text(text, encoding="utf-8")
        if not (self.path / "recording" / "config.conf").exists():  # how the run began, ours or a published one
            with written_whole(self.path / "recording" / "config.conf") as beside:
                beside.write_text(text, encoding="utf-8")
        self.checkpoints.mkdir(exist_ok=True)

    def config(self) -> ExperimentConfig:
        """The settings of the run."""
        return read_config(self.path / "config.conf")

    def facts(self) -> dict[str, Any]:
        """The content of `run.json`.

        Raises:
            InputError: missing or damaged.
        """
        path = self.path / "run.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(facts, dict) or not {"scene", "held_out_views"} <= facts.keys():
                raise ValueError("no scene and held_out_views in it")
            return facts
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: missing or damaged ({error}); give the folder that `train --run` was given."
            ) from error

    def _has_facts(self) -> bool:
        """Whether `run.json` is one of ours: other programs have files of that name."""
        with suppress(InputError):
            return bool(self.facts())
        return False

    def _is_run(self) -> bool:
        """Whether a run, ours or a published one, wrote what has the names of a run's files here."""
        return self._has_facts() or (self.holds_a_run() and (self.path / "recording" / "config.conf").is_file())

    def _claim(self, overwrite: bool) -> None:
        """Removes an earlier run if requested; a project of somebody else's, which may have files of the same names, stays as it is."""
        if self._is_run():
            if overwrite:
                self._remove_run()
            return
        names = (*OWN_FILES, *OWN_FOLDERS) if overwrite else OWN_FILES
        if foreign := [name for name in names if (self.path / name).exists()]:
            what = "--overwrite would remove" if overwrite else "training would replace"
            raise InputError(f"{self.path}: {what} {foreign[0]}, but no run was trained there; choose another folder.")

    def _remove_run(self) -> None:
        for name in OWN_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for path in self.path.glob(OWN_NUMBERS):
            path.unlink(missing_ok=True)


def read_evaluation(folder: Path, checkpoint: str) -> dict[str, Any] | None:
    """RUN/evaluation.json, if it is there, whole, and of that checkpoint; a mean that is null is read as NaN."""
    try:
        content = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        content["mean"] = {name: math.nan if value is None else value for name, value in content["mean"].items()}
        return content if content["checkpoint"] == checkpoint and content["mean"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def places_of_mesh(folder: Path) -> tuple[Path, Path]:
    """RUN/mesh.ply and RUN/meshes/mesh.ply, where whatever measures or shows a run looks for its mesh in world units."""
    return folder / "mesh.ply", folder / "meshes" / "mesh.ply"


def mesh_of_run(folder: Path) -> Path:
    """The mesh that a run has made, world units: the newer of `places_of_mesh`.

    Raises:
        InputError: there is none.
    """
    found = [path for path in places_of_mesh(folder) if path.is_file()]
    if not found:
        raise InputError(f"{folder}: no mesh.ply in it; make one with `neus mesh {folder}`, or give --mesh FILE.")
    return max(found, key=lambda path: path.stat().st_mtime)
