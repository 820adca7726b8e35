"""Labels of pixels, of depth or of offset, chosen by semi-global matching and placed between labels by the images."""

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for

# Labels are filled up to whole vector registers, with costs that never win: four times faster.
LANES = 16


def chosen_labels(costs: NDArray, grey: NDArray, step_penalty: int, jump_penalty: int) -> tuple[NDArray, NDArray]:
    """(H, W) float32 labels, NaN where the best is the first or the last, and the scores 1 - cost / 255 there.

    Semi-global matching (Hirschmueller 2008) says which label it is. The position between labels comes from the images alone: the paths
    charge each step away from the neighbours' label, which moves the minimum of their sum towards whole steps, by up to 0.25 of one.

    Args:
        costs: (H, W, D) uint8, 255 where nothing correlates.
        grey: (H, W) float32; jumps are cheaper at its edges.
        step_penalty, jump_penalty: P1 and P2.
    """
    n = costs.shape[2]
    kernels = kernels_for("semi_global", torch.device("cpu"))
    padded = costs
    if n % LANES:
        padded = np.full((*grey.shape, -(-n // LANES) * LANES), 255, np.uint8)
        padded[..., :n] = costs
    labels, _ = kernels.subpixel_minimum(kernels.aggregate(padded, grey, step_penalty, jump_penalty))
    is_between = (labels > 0) & (labels < n - 1)
    around = np.clip(labels, 1, n - 2)[..., None] + np.arange(-1, 2)
    before, here, after = np.moveaxis(np.take_along_axis(costs, around, axis=2).astype(np.float32), -1, 0)
    bend = before + after - 2.0 * here
    fractions = np.where(bend > 0, np.clip(0.5 * (before - after) / np.maximum(bend, 1.0), -1.0, 1.0), 0.0)
    found = np.where(is_between, labels + fractions, np.nan).astype(np.float32)
    return found, np.where(is_between, 1.0 - here / 255.0, 0.0).astype(np.float32)
