"""NeuS: posed images to a watertight, coloured mesh and novel views, by volume rendering of a signed distance field.

import neus
scene = neus.load_scene("data/dtu_scan65")
model = neus.load_model("runs/scan65")
rendered = model.render(origins, directions)
"""

from neus.errors import InputError
from neus.version import VERSION as __version__

__all__ = ["InputError", "__version__", "load_model", "load_scene"]


def __getattr__(name: str) -> object:
    # The heavy imports wait until they are needed, so that `neus --help` answers at once.
    if name in ("load_model", "load_scene"):
        from neus.runs import load

        return getattr(load, name)
    raise AttributeError(f"module 'neus' has no attribute {name!r}")
