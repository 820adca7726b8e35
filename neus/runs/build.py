"""Classes from configs: the model, with what it knows of its scene."""

from dataclasses import replace

import torch

from neus.errors import InputError
from neus.fields.hash_grid import HashGridConfig
from neus.rendering.model import Model, ModelConfig
from neus.runs.config import ExperimentConfig
from neus.scenes.scene import Scene

# Activations of so many points stay in a CPU's caches: 4096 to 16384 were alike for the published network, 65536 took 1.7 times
# as long. A power of two leaves the products of matrices the same to the bit.
ROWS_PER_PASS_CPU = 8192


def build_model(config: ModelConfig, seed: int = 0) -> Model:
    """A model with initial parameters; the same seed gives the same ones. The global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(config)


def suited_to_scene(config: ExperimentConfig, scene: Scene) -> ExperimentConfig:
    """The config, its hash grids no finer than the scene's images (`HashGridConfig.cells_per_pixel`)."""
    hash_sdf = config.model.hash_sdf
    grids = {name: _as_fine_as(getattr(hash_sdf, name), scene) for name in ("grid", "color_grid")}
    return replace(config, model=replace(config.model, hash_sdf=replace(hash_sdf, **grids)))


def _as_fine_as(grid: HashGridConfig, scene: Scene) -> HashGridConfig:
    if grid.cells_per_pixel == 0.0:
        return grid
    distances, focals = scene.camera_to_scene[:, :3, 3].norm(dim=-1), scene.intrinsics[:, 0, 0]
    pixels_across = float((2.0 * focals / distances).median())
    finest = min(grid.finest_resolution, round(grid.cells_per_pixel * pixels_across))
    return replace(grid, finest_resolution=max(finest, grid.base_resolution))


def model_for_scene(config: ExperimentConfig, scene: Scene) -> Model:
    """A model for a scene: its frame, its box and the colour behind it."""
    model = build_model(config.model, config.train.seed)
    model.scene_to_world = scene.scene_to_world
    model.box = scene.box
    model.background = scene.background
    if config.train.use_white_bkgd:
        model.background = torch.ones(3)
    return model


def scene_facts(model: Model) -> dict[str, torch.Tensor | None]:
    """What a checkpoint keeps of the scene, so that a mesh in world units needs nothing else."""
    return {"scene_to_world": model.scene_to_world, "box": model.box, "background": model.background}


def in_frame_of(model: Model, scene: Scene) -> Scene:
    """The scene in the frame of a model that knows its own; as it is for one that does not, such as a published checkpoint's."""
    if model.scene_to_world is None:
        return scene
    return scene.in_frame(model.scene_to_world.cpu().double(), model.box.cpu().double())


def take_scene_facts(model: Model, facts: dict[str, torch.Tensor | None]) -> None:
    """Inverse of `scene_facts`."""
    model.scene_to_world, model.box, model.background = facts["scene_to_world"], facts["box"], facts["background"]


def placed(model: Model, device: torch.device) -> Model:
    """The model on a device, its networks given the batch of points that suits that device."""
    rows = ROWS_PER_PASS_CPU if device.type == "cpu" else None
    model.sdf_network.chunk_size = model.color_network.chunk_size = rows
    if model.background is not None:
        model.background = model.background.to(device)
    return model.to(device)


def pick_device(name: str) -> torch.device:
    """The device of a name: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest at hand.

    Raises:
        InputError: unknown, or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    at_hand = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in at_hand or (number and not number.isdigit()):
        raise InputError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps.")
    if int(number or 0) >= at_hand[kind]:
        raise InputError(
            f"--device {name}: not on this machine ({at_hand[kind]} of that kind); use --device auto or cpu."
        )
    return torch.device(name)
