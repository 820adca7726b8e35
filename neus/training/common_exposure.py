"""The exposure that training brings all views to, where they differ."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neus.scenes.scene import Scene
from neus.stereo.exposure import ExposureFit, exposures_of
from neus.stereo.initial_shape import InitialShape

# Smaller changes than this between the brightest and the darkest view, as a ratio, are left alone, and those below so many
# standard errors.
LEAST_RATIO, SIGNIFICANT = 1.05, 3.0
# Exposure changes all of a view alike (`ExposureFit.shared`, of the channel where it is largest: dark ones are noise). A stone head
# photographed by a camera that chose it anew has 0.93, synthetic houses with gains 0.83 and 0.89; DTU scans 24 and 65, where the robot's
# arm takes light from parts of the object, 0.70 and 0.76, a house with a light at the camera 0.71. Gloss hides it: metal tins with gains
# have 0.55.
LEAST_SHARED = 0.8


class CommonExposure:
    """Maps of the views' colours.

    Attributes:
        gains, offsets: (V, 3) float32; a view shows the common colour c as gain c + offset.
    """

    def __init__(self, gains: Tensor, offsets: Tensor) -> None:
        self.gains, self.offsets = gains, offsets

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"gains": self.gains, "offsets": self.offsets}


def common_exposure(
    scene: Scene, shape: InitialShape, kind: str, on_message: Callable[[str], None]
) -> CommonExposure | None:
    """The maps of the views of a scene by its initial shape; None where images are taken as they are.

    `auto` levels what differs between views, more than by chance and alike in all parts of a view.

    Args:
        scene: as it is trained on.
        shape: of it.
        kind: `TrainConfig.exposure`.
        on_message: receives one line on what was found.
    """
    if kind == "none" or len(scene) < 2 or not len(shape.points.points):
        return None
    found = exposures_of(scene, shape.distances.numpy(), shape.points)
    what = f"brightness differs between views by up to {_ratio(found):.2f}x"
    if kind == "auto" and not _differs(found):
        return None
    if kind == "auto" and found.shared.max() < LEAST_SHARED:
        on_message(f"exposure: {what}, but not in all of a view alike: light or gloss, and images are taken as they are")
        return None
    on_message(f"exposure: {what}; leveled to the mean of all views")
    return CommonExposure(*(torch.from_numpy(part.astype(np.float32)) for part in (found.gains, found.offsets)))


def _ratio(found: ExposureFit) -> float:
    """Of the brightest to the darkest view, in the channel where it is largest."""
    return float((found.levels.max(axis=0) / found.levels.min(axis=0)).max())


def _differs(found: ExposureFit) -> bool:
    is_significant = np.abs(np.log(found.levels)) > SIGNIFICANT * found.errors
    return _ratio(found) > LEAST_RATIO and bool(is_significant.any())
