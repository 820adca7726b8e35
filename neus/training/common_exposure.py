"""The exposure that training brings all views to, where they differ."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neus.scenes.scene import Scene
from neus.stereo.exposure import exposures_of
from neus.stereo.initial_shape import InitialShape
from neus.stereo.places import left_out

# Smaller changes than this between the brightest and the darkest view, as a ratio, are left alone, and those below so many
# standard errors.
LEAST_RATIO, SIGNIFICANT = 1.05, 3.0
# From this fraction of the variance of the levels on, most is told by where the camera stands (`LeftOut.explained`): colours learn it.
TOLD_BY_PLACES = 0.5


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

    `auto` levels what differs between views, more than by chance and not as their places do: colours that depend on the direction of
    view learn what is a function of the place, and show it in other views too.

    Args:
        scene: as it is trained on.
        shape: of it.
        kind: `TrainConfig.exposure`.
        on_message: receives one line on what was found.
    """
    if kind == "none" or len(scene) < 2 or not len(shape.points.points):
        return None
    found = exposures_of(scene, shape.distances.numpy(), shape.points)
    levels = np.log(found.levels)
    what = f"brightness differs between views by up to {_ratio(levels):.2f}x"
    if kind == "auto":
        if not _differs(levels, found.errors):
            return None
        if _follows_places(scene.camera_to_scene[:, :3, 3].double().numpy(), levels, found.errors):
            learnt = "colours learn that from the direction of view, and images are taken as they are"
            on_message(f"exposure: {what}, as their places do; {learnt}")
            return None
        what += ", and not as their places do"
    on_message(f"exposure: {what}; leveled to the mean of all views")
    return CommonExposure(*(torch.from_numpy(part.astype(np.float32)) for part in (found.gains, found.offsets)))


def _follows_places(centers: NDArray, levels: NDArray, errors: NDArray) -> bool:
    """Whether places (V, 3) tell most of the logarithms (V, 3), or what they do not tell is little or chance."""
    rest = left_out(centers, levels)
    return rest.explained >= TOLD_BY_PLACES or not _differs(rest.residuals, np.sqrt(rest.weights**2 @ errors**2))


def _ratio(levels: NDArray) -> float:
    """Of the brightest to the darkest view by logarithms (V, 3), in the channel where it is largest."""
    return float(np.exp(np.ptp(levels, axis=0).max()))


def _differs(levels: NDArray, errors: NDArray) -> bool:
    """Whether logarithms (V, 3) with standard errors (V, 3) differ by enough, and by more than chance."""
    return _ratio(levels) > LEAST_RATIO and bool((np.abs(levels) > SIGNIFICANT * errors).any())
