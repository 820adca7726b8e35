"""What happens beside the iterations: progress line, metrics, checkpoints, images and meshes on the way."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from neus.errors import InputError
from neus.meshing.extract import extract_mesh
from neus.meshing.files import write_mesh
from neus.rendering.queries import fastest_sdf
from neus.rendering.views import normal_image, render_view, rgb_image
from neus.scenes.images import write_image
from neus.scenes.scene import Scene
from neus.training.checkpoint import checkpoint_name, checkpoints_in, delete_old_checkpoints, iteration_of
from neus.training.metrics import MetricsWriter
from neus.training.step import StepTerms
from neus.training.trainer import Trainer

# The line is redrawn, and the losses are fetched from the device, this often.
PROGRESS_EVERY = 10


class ProgressHook:
    """A line with loss, PSNR, sharpness, rays per second and the time left."""

    def __init__(self, trainer: Trainer) -> None:
        self.bar = tqdm(
            total=trainer.config.end_iter,
            initial=trainer.iteration,
            unit="it",
            dynamic_ncols=True,
            desc="train",
            smoothing=0.05,
        )

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """Redraws the line every few iterations."""
        if trainer.iteration % PROGRESS_EVERY and not trainer.is_over:
            return
        said = (
            f"loss {float(terms.total.detach()):.4f}, PSNR {float(terms.psnr):.2f} dB, sharpness "
            f"{float(trainer.model.sharpness().detach()):.0f}, {trainer.rays_per_second():.0f} rays/s"
        )
        self._redraw(trainer, said)

    def _redraw(self, trainer: Trainer, said: str) -> None:
        self.bar.set_postfix_str(said, refresh=False)
        self.bar.update(trainer.iteration - self.bar.n)

    def message(self, text: str) -> None:
        """Prints a line above the progress line."""
        self.bar.write(text)

    def close(self) -> None:
        """Leaves the line as it stands."""
        self.bar.close()


class TimeProgressHook(ProgressHook):
    """The same line for a run of so many seconds: the fraction of the time, and what is left of it."""

    def __init__(self, trainer: Trainer) -> None:
        bar_format = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
        self.bar = tqdm(total=100, dynamic_ncols=True, desc="train", bar_format=bar_format)
        self._whole: float | None = None

    def _redraw(self, trainer: Trainer, said: str) -> None:
        left = 0.0 if trainer.is_over else trainer.time_budget.seconds_left
        # Of the time there was at the first look: the end may have moved since, and the line must not go back.
        self._whole = max(left, 1e-9) if self._whole is None else self._whole
        fraction = max(0.0, 1.0 - left / self._whole) if left else 1.0
        self.bar.set_postfix_str(f"{clock_time(left)} left, iteration {trainer.iteration}, {said}", refresh=False)
        self.bar.update(max(0, int(100 * fraction) - self.bar.n))


def clock_time(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock_time(112.4), clock_time(3600)
    ('1:52', '60:00')
    """
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


class MetricsHook:
    """Writes the scalars every `report_freq` iterations."""

    def __init__(self, writer: MetricsWriter) -> None:
        self.writer = writer

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """One line of metrics, if it is time."""
        if trainer.iteration % trainer.config.report_freq and not trainer.is_over:
            return
        sharpness = float(trainer.model.sharpness().detach())
        scalars = terms.named() | {
            "sharpness": sharpness,
            "s_val": 1.0 / sharpness,
            "learning_rate": trainer.learning_rate,
            "rays_per_second": trainer.rays_per_second(),
        }
        self.writer.write(trainer.iteration, scalars)


class CheckpointHook:
    """Saves every `save_freq` iterations and at the end, and every so many seconds if requested; keeps the newest.

    Attributes:
        seconds: what the last one took; None before the first.
    """

    def __init__(
        self,
        folder: Path,
        save: Callable[[Path], None],
        every_seconds: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.save, self.seconds = folder, save, None
        self._every_seconds, self._clock, self._saved_at = every_seconds, clock, clock()

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """One checkpoint, if it is time."""
        is_late = self._clock() - self._saved_at >= self._every_seconds
        if trainer.iteration % trainer.config.save_freq == 0 or trainer.is_over or is_late:
            self.save_now(trainer)

    def save_now(self, trainer: Trainer) -> Path:
        """Saves at once; returns the file."""
        path, started = self.folder / checkpoint_name(trainer.iteration), self._clock()
        self.save(path)
        self._saved_at = self._clock()
        self.seconds = self._saved_at - started
        delete_old_checkpoints(self.folder, trainer.config.keep_checkpoints)
        return path

    def forget_after(self, iteration: int) -> None:
        """Removes the checkpoints of later iterations: steps from them were not finite."""
        for path in checkpoints_in(self.folder):
            if iteration_of(path) > iteration:
                path.unlink()


class ValidationHook:
    """Renders a view every `val_freq` iterations, above its image, and its normals."""

    def __init__(self, folder: Path, scene: Scene, numbers: list[int]) -> None:
        # Views of their own random order: training must not depend on what is rendered.
        self.folder, self.scene, self.numbers = folder, scene, numbers

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """Two images, if it is time."""
        config = trainer.config
        if not config.val_freq or trainer.iteration % config.val_freq:
            return
        view = random.Random(config.seed * 1_000_003 + trainer.iteration).randrange(len(self.scene))
        camera = self.scene.camera(view).scaled(1.0 / config.validate_resolution_level)
        rendered = render_view(trainer.model, camera, cos_anneal=trainer.cos_anneal)
        captured = cv2.resize(self.scene.images[view], (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        name = f"{trainer.iteration:08d}_0_{self.numbers[view]}.png"
        write_image(self.folder / "validations_fine" / name, np.concatenate([rgb_image(rendered), captured]))
        write_image(self.folder / "normals" / name, normal_image(rendered, camera))


class MeshHook:
    """Writes a coarse mesh, in the scene frame as NeuS does, every `val_mesh_freq` iterations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """One mesh, if it is time; early on there may be no surface yet, which is no reason to stop."""
        config = trainer.config
        if not config.val_mesh_freq or trainer.iteration % config.val_mesh_freq:
            return
        model = trainer.model
        try:
            mesh = extract_mesh(
                fastest_sdf(model),
                model.box.to(model.device, torch.float32),
                config.validate_mesh_resolution,
            )
        except InputError as error:
            trainer.on_message(f"no mesh snapshot in iteration {trainer.iteration}: {error}")
            return
        write_mesh(mesh, self.folder / "meshes" / f"{trainer.iteration:08d}.ply")
