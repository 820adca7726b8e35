"""Scenes and models from what is on disk: the two functions that a library user begins with."""

from pathlib import Path

from neus.rendering.model import Model
from neus.runs.build import model_for_scene, pick_device, placed
from neus.runs.config import ExperimentConfig
from neus.runs.console import Console
from neus.runs.run import Run
from neus.runs.typed_sections import section_from_dict
from neus.scenes.readers import DatasetConfig
from neus.scenes.scene import Scene
from neus.stereo.region_from_matches import read_located_scene

# Small scenes are read sooner than a progress bar could be of use.
SECONDS_WITHOUT_BAR = 2.0


def load_scene(folder: str | Path, **settings: object) -> Scene:
    """The scene in a folder of any known layout.

    Without masks or a region of interest in its files, images are matched to find where the object is, which takes some seconds.

    Args:
        folder: IDR/NeuS, raw BlendedMVS, Blender or COLMAP.
        settings: fields of `neus.scenes.readers.DatasetConfig`, such as `render_cameras_name`, `format`, `center`, `radius`.

    Raises:
        InputError: no such folder, no known layout, or something wrong in it, named.
    """
    return read_located_scene(Path(folder), section_from_dict(DatasetConfig, settings, "load_scene", ("dataset",)))


def read_scene_on(console: Console, folder: Path, config: DatasetConfig) -> Scene:
    """`read_located_scene`, with one line on what is read and a progress bar where that takes a while."""
    with console.bar("reading", " images", delay=SECONDS_WITHOUT_BAR) as progress:
        return read_located_scene(folder, config, on_progress=progress, on_start=console.message)


def load_model(source: str | Path, conf: str | Path | None = None, device: str = "cpu") -> Model:
    """A trained model, ours or published, ready to query: `model.sdf`, `model.gradient`, `model.render`.

    Args:
        source: a checkpoint, or a run folder, whose newest one is taken.
        conf: the config of a published checkpoint, which does not know its own; ours carry theirs.
        device: as `--device`.

    Returns:
        The model in evaluation mode, colours in RGB. A published checkpoint knows nothing of its scene: its
        `scene_to_world` is None until set.

    Raises:
        InputError: missing, truncated, or made with another config (the first tensor that differs is named).
    """
    return Run(source, conf=conf).model(device)


def new_model(config: ExperimentConfig, scene: Scene, device: str) -> Model:
    """An untrained model for a scene, on a device."""
    return placed(model_for_scene(config, scene), pick_device(device))
