"""NeuS: watertight, coloured meshes and novel views from posed images, by volume rendering of a signed distance field.

    import neus

    scene = neus.load_scene("data/dtu_scan65")
    run = neus.train(scene, preset="quick", minutes=5)
    model = neus.load_model(run.path)
    distances = model.sdf(points, frame="world")
    mesh = neus.extract_mesh(model, resolution=512)
    view = neus.render(model, neus.Camera.look_at(eye=(0, -900, 300), target=(0, 0, 0)))

Nothing here prints or installs signal handlers; messages go to the logger `neus`. Names are imported when they are first used, so
`import neus` takes no time.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from neus.errors import InputError, InputWarning, TrainingDiverged
from neus.version import VERSION as __version__

# Without a handler of the caller's, warnings of the logger would go to stderr.
logging.getLogger("neus").addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from neus.geometry.cameras import Camera, WorldCamera
    from neus.rendering.model import Model, ModelConfig
    from neus.rendering.views import RenderedView
    from neus.runs.load import load_model, load_scene
    from neus.scenes.arrays import scene_from_arrays
    from neus.scenes.readers import register_reader
    from neus.scenes.scene import Scene
    from neus.scenes.writers import save_scene
    from neus.workflows.convert import convert_scene
    from neus.workflows.evaluate import evaluate_dtu, evaluate_images, evaluate_mesh
    from neus.workflows.mesh import extract_mesh
    from neus.workflows.process import process_capture
    from neus.workflows.reconstruct import reconstruct
    from neus.workflows.render import render
    from neus.workflows.texture import texture_mesh
    from neus.workflows.train import train

_PLACES = {
    "Camera": "neus.geometry.cameras",
    "Model": "neus.rendering.model",
    "ModelConfig": "neus.rendering.model",
    "RenderedView": "neus.rendering.views",
    "Scene": "neus.scenes.scene",
    "WorldCamera": "neus.geometry.cameras",
    "convert_scene": "neus.workflows.convert",
    "evaluate_dtu": "neus.workflows.evaluate",
    "evaluate_images": "neus.workflows.evaluate",
    "evaluate_mesh": "neus.workflows.evaluate",
    "extract_mesh": "neus.workflows.mesh",
    "load_model": "neus.runs.load",
    "load_scene": "neus.runs.load",
    "process_capture": "neus.workflows.process",
    "reconstruct": "neus.workflows.reconstruct",
    "register_reader": "neus.scenes.readers",
    "render": "neus.workflows.render",
    "save_scene": "neus.scenes.writers",
    "scene_from_arrays": "neus.scenes.arrays",
    "texture_mesh": "neus.workflows.texture",
    "train": "neus.workflows.train",
}

__all__ = [
    "Camera",
    "InputError",
    "InputWarning",
    "Model",
    "ModelConfig",
    "RenderedView",
    "Scene",
    "TrainingDiverged",
    "WorldCamera",
    "__version__",
    "convert_scene",
    "evaluate_dtu",
    "evaluate_images",
    "evaluate_mesh",
    "extract_mesh",
    "load_model",
    "load_scene",
    "process_capture",
    "reconstruct",
    "register_reader",
    "render",
    "save_scene",
    "scene_from_arrays",
    "texture_mesh",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'neus' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
