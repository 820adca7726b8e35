"""A run on disk, opened again: its config, its model, and its scene in the frame that the model was trained in."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from neus.errors import InputError
from neus.geometry.similarity import scale_of
from neus.rendering.model import Model
from neus.runs.build import build_model, pick_device, placed, take_scene_facts
from neus.runs.config import ExperimentConfig, config_from_dict, overridden, read_config
from neus.runs.run_folder import RunFolder, mesh_of_run
from neus.scenes.foreign.formats import FOREIGN
from neus.scenes.readers import OBJECT, DatasetConfig, layout_of, read_scene, read_split
from neus.scenes.scene import Scene
from neus.scenes.selection import NoSuchView
from neus.training.checkpoint import load_parameters, read_checkpoint

# Settings by which a user leaves views out.
SELECTIONS = ("dataset.views", "dataset.exclude")


class Run:
    """A trained run, ours or a published one, or one of its checkpoints.

    The frame that a model was trained in is part of its checkpoint and stays what it was, whatever the data or a later version of this
    program say now: masks that were edited, points that were optimised again, images that were added.

    Attributes:
        path: the run's folder; the one around `checkpoints/` if a checkpoint was given.
        folder: its files.
        checkpoint: the newest checkpoint, or the one that was given.
    """

    def __init__(
        self,
        source: str | Path,
        data: str | Path | None = None,
        conf: str | Path | None = None,
        overrides: Sequence[str] = (),
    ) -> None:
        """Opens a run.

        Args:
            source: run folder or checkpoint.
            data: the scene's folder, if it has moved or is not known.
            config: of a published checkpoint, which does not know its own; ours carry theirs and need none.
            overrides: `dataset.key=value` each, for how the scene is read now.

        Raises:
            InputError: no such run, or no checkpoint in it.
        """
        source = Path(source)
        if not source.exists():
            raise InputError(f"{source}: no such run folder or checkpoint; give the folder that was trained in, or a .pth in it.")
        if source.is_file():
            self.path = source.parent.parent if source.parent.name == "checkpoints" else source.parent
            self.checkpoint = source
        else:
            self.path, self.checkpoint = source, RunFolder(source).latest_checkpoint()
        self.folder, self._overrides = RunFolder(self.path), list(overrides)
        self._data, self._conf = (None if place is None else Path(place) for place in (data, conf))

    @cached_property
    def content(self) -> dict[str, Any]:
        """What is in the checkpoint."""
        return read_checkpoint(self.checkpoint)

    @property
    def is_own(self) -> bool:
        """Whether it was trained by this program; published checkpoints know neither config nor scene."""
        return "neus" in self.content

    @cached_property
    def config(self) -> ExperimentConfig:
        """The config it was trained with, and `overrides`.

        Raises:
            InputError: a published checkpoint without its config.
        """
        if self.is_own:
            config = config_from_dict(self.content["neus"]["config"], str(self.checkpoint))
        else:
            recorded = self.path / "recording" / "config.conf"
            if self._conf is None and not recorded.is_file():
                raise InputError(
                    f"{self.checkpoint}: a checkpoint of the published NeuS does not know its config; give it (conf=..., or --conf)."
                )
            config = read_config(self._conf or recorded)
        for override in self._overrides:
            if not override.strip().startswith("dataset"):
                raise InputError(f"--set {override}: a trained run stays as it is; expected dataset.key=value.")
        return overridden(config, self._overrides)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Scene, names of views, which trained and which were held out: from `run.json`, or from the checkpoint if it lies alone."""
        known = self.content["neus"].get("run") if self.is_own else None
        return self.folder.facts() if known is None or (self.path / "run.json").is_file() else known

    def model(self, device: str = "auto") -> Model:
        """The model in evaluation mode, on a device as `--device` names it; see `neus.load_model`.

        Raises:
            InputError: damaged, or of another config (the first tensor that differs is named).
        """
        model = build_model(self.config.model, self.config.train.seed)
        if self.is_own:
            take_scene_facts(model, self.content["neus"]["scene"])
        elif self.config.train.use_white_bkgd:
            model.background = model.sharpness.variance.new_ones(3)
        load_parameters(model, self.content, self.checkpoint)
        return placed(model, pick_device(device)).eval()

    def model_and_scene(self, device: str = "auto") -> tuple[Model, Scene]:
        """Both, in one frame; a published checkpoint, which knows none, takes that of its scene."""
        model, scene = self.model(device), self.scene()
        if model.scene_to_world is None:
            model.scene_to_world, model.box = scene.scene_to_world, scene.box
        return model, scene

    def scene(self) -> Scene:
        """The views of the run in their order, as they are on disk now, in the frame of the model; images are read when they are indexed.

        Images that were added since training are not looked at, so that numbers, orbits and cleaning stay what they were: what is
        decided for a whole scene, such as `dataset.downscale = auto`, is decided by the views of the run.

        Raises:
            InputError: it is not where it was, something is wrong in it, or views of the run are no longer in it.
        """
        frame = self._frame()
        dataset = self.config.dataset
        place = self._scene_folder()
        if frame is None:
            return read_scene(place, dataset, lazy=True)
        dataset, names = in_known_region(dataset, place, frame[0]), self.facts.get("view_names")
        if any(override.partition("=")[0].strip() in SELECTIONS for override in self._overrides):
            scene = read_scene(place, dataset, lazy=True)
            names = [name for name in names or () if name in set(scene.names)]
        else:
            scene = _views_of(place, dataset, names or ())
        scene = scene.in_frame(*frame)
        return scene if names in (None, scene.names) else scene.subset(_numbers_of(names, scene))

    def split(self, name: str) -> Scene:
        """Another split of the scene (`test`, `val`) in the frame of the model."""
        frame = self._frame()
        if frame is None:
            raise InputError(f"{self.checkpoint}: a published checkpoint knows no frame that a split could be brought to.")
        return read_split(self._scene_folder(), self.config.dataset, name, frame[0])

    def held_out(self, scene: Scene) -> list[int]:
        """Numbers of the views that were held out of training, found by their names.

        Raises:
            InputError: no view was held out, or one of them is not in the scene.
        """
        views = self.facts["held_out_views"]
        names = [self.facts["view_names"][view] for view in views] if "view_names" in self.facts else None
        if not views:
            raise InputError(
                f"{self.path}: no view was held out, so there is nothing to measure on; train with --holdout 8."
            )
        if names is None:
            return [view for view in views if view < len(scene)]
        return _numbers_of(names, scene)

    def mesh_path(self) -> Path:
        """The newest mesh that the run has; raises InputError if it has none."""
        return mesh_of_run(self.path)

    def _frame(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        facts = self.content["neus"]["scene"] if self.is_own else {}
        if facts.get("scene_to_world") is None:
            return None
        return facts["scene_to_world"].cpu().double(), facts["box"].cpu().double()

    def _scene_folder(self) -> Path:
        if self._data is not None:
            return self._data
        is_known = self.is_own or (self.path / "run.json").is_file()
        place = self.facts["scene"] if is_known else self.config.dataset.data_dir
        if not place or not (is_known or Path(place).exists()):
            raise InputError(f"{self.path}: does not name its scene; give --data SCENE_FOLDER.")
        if not Path(place).exists():
            raise InputError(f"{place}: the scene of this run is no longer there; give its new path with --data.")
        return Path(place)


def in_known_region(dataset: DatasetConfig, place: Path, scene_to_world: torch.Tensor) -> DatasetConfig:
    """The same, with the region of interest that was found in training, so that none is estimated again."""
    layout = layout_of(place, dataset) if dataset.format == "auto" else dataset.format
    # Training has checked its views; an added one is not used.
    dataset = replace(dataset, camera_outside_sphere=False, region=OBJECT, box=())
    if layout not in ("blender", "colmap", "blendedmvs", *FOREIGN):
        return dataset  # the camera file says it
    return replace(dataset, center=tuple(scene_to_world[:3, 3].tolist()), radius=scale_of(scene_to_world))


def _views_of(place: Path, dataset: DatasetConfig, names: Sequence[str]) -> Scene:
    """The named views of a scene; all of its views where names are missing or do not tell views apart."""
    try:
        return read_scene(place, replace(dataset, views=tuple(names), exclude=()) if names else dataset, lazy=True)
    except NoSuchView:
        return read_scene(place, dataset, lazy=True)


def _numbers_of(names: Sequence[str], scene: Scene) -> list[int]:
    numbers = {name: view for view, name in enumerate(scene.names)}
    if missing := [name for name in names if name not in numbers]:
        raise InputError(
            f"{scene.source}: {len(missing)} of {len(names)} views of the run are not in it ({missing[0]}); give the scene "
            "that the run was trained on."
        )
    return [numbers[name] for name in names]
