"""Scenes and models from what is on disk: the two functions that a library user begins with."""

from pathlib import Path

from neus.errors import InputError
from neus.rendering.model import Model
from neus.runs.build import build_model, model_for_scene, pick_device, placed, take_scene_facts
from neus.runs.config import ExperimentConfig, config_from_dict, read_config, section_from_dict
from neus.runs.console import Console
from neus.runs.run_folder import RunFolder
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.scene import Scene
from neus.training.checkpoint import load_parameters, read_checkpoint

# Small scenes are read sooner than a progress bar could be of use.
SECONDS_WITHOUT_BAR = 2.0


def load_scene(folder: str | Path, **settings: object) -> Scene:
    """The scene in a folder of any known layout.

    Args:
        folder: IDR/NeuS, raw BlendedMVS, Blender or COLMAP.
        settings: fields of `neus.scenes.readers.DatasetConfig`, such as `render_cameras_name`, `format`, `center`, `radius`.

    Raises:
        InputError: no such folder, no known layout, or something wrong in it, named.
    """
    return read_scene(Path(folder), section_from_dict(DatasetConfig, settings, "load_scene", ("dataset",)))


def read_scene_on(console: Console, folder: Path, config: DatasetConfig) -> Scene:
    """`read_scene` of all pixels, with one line on what is read and a progress bar where that takes a while."""
    with console.bar("reading", " images", delay=SECONDS_WITHOUT_BAR) as progress:
        return read_scene(folder, config, on_progress=progress, on_start=console.message)


def load_model(source: str | Path, conf: str | Path | None = None, device: str = "cpu") -> Model:
    """A trained model, ours or published, ready to query: `model.sdf`, `model.gradient`, `model.render`.

    Args:
        source: a checkpoint, or a run folder, whose newest one is taken.
        conf: the conf it was trained with; ours carry it, published checkpoints need it.
        device: as `--device`.

    Returns:
        The model in evaluation mode, colours in RGB. A published checkpoint knows nothing of its scene: its
        `scene_to_world` is None until set.

    Raises:
        InputError: missing, truncated, or made with another conf (the first tensor that differs is named).
    """
    path = Path(source)
    run = RunFolder(path) if path.is_dir() else None
    path = run.latest_checkpoint() if run else path
    content = read_checkpoint(path)
    own = content.get("neus")
    if conf is not None:
        config = read_config(Path(conf))
    elif own:
        config = config_from_dict(own["config"], str(path))
    elif run and (run.path / "recording" / "config.conf").is_file():
        config = read_config(run.path / "recording" / "config.conf")
    else:
        raise InputError(
            f"{path}: a checkpoint of the published NeuS does not know its conf; give it (conf=..., or --conf)."
        )
    model = _model_of(config, own)
    load_parameters(model, content, path)
    return placed(model, pick_device(device)).eval()


def _model_of(config: ExperimentConfig, own: dict | None) -> Model:
    model = build_model(config.model, config.train.seed)
    if own:
        take_scene_facts(model, own["scene"])
    elif config.train.use_white_bkgd:
        model.background = model.sharpness.variance.new_ones(3)
    return model


def new_model(config: ExperimentConfig, scene: Scene, device: str) -> Model:
    """An untrained model for a scene, on a device."""
    return placed(model_for_scene(config, scene), pick_device(device))
