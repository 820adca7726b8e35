"""Intrinsics of another image size, by themselves and by the matches between images."""

from dataclasses import replace

import numpy as np
import torch

from neus.checks.findings import Finding
from neus.scenes.intrinsics import IntrinsicsFault, common_factor, intrinsics_fault, scaled_fault
from neus.scenes.scene import Scene
from neus.stereo.epipolar import FEWEST_PAIRS, FITTING, pair_fit
from neus.stereo.matches import PairMatches

# With intrinsics that fit this well, a principal point far from the middle is that of a crop.
CERTAIN = 0.8
# Other intrinsics must be better than those given by this fraction of the pairs, and not by a trifle of size.
BETTER, OTHER_SIZE = 0.25, 0.05


def intrinsics_findings(scene: Scene, pairs: list[PairMatches]) -> list[Finding]:
    """The finding `intrinsics`, if they cannot be of these images; judged before poses, masks, order or region.

    Args:
        scene: as read.
        pairs: matches between images, which confirm or refute; may be empty.
    """
    fault = intrinsics_fault(scene)
    factor = fault.factor if fault else common_factor(scene, tuple(range(len(scene))))
    if len(pairs) >= FEWEST_PAIRS:
        given = _fits(scene, pairs)
        if fault and np.mean(given) > CERTAIN:
            return []
        if factor and abs(factor - 1) > OTHER_SIZE:
            scaled = _fits(replace(scene, intrinsics=_divided(scene.intrinsics, factor)), pairs)
            is_better = _fraction(scaled) >= max(FITTING, _fraction(given) + BETTER) or fault and scaled.mean() > given.mean()
            if is_better:
                fault = fault or scaled_fault(scene, tuple(range(len(scene))), factor)
                return [
                    _finding(fault, f" (so divided, {100 * _fraction(scaled):.0f}% of the image pairs match the cameras)")
                ]
    return [_finding(fault)] if fault else []


def _finding(fault: IntrinsicsFault, confirmed: str = "") -> Finding:
    return Finding("intrinsics", fault.views, fault.found + confirmed, fault.suggestion)


def _divided(intrinsics: torch.Tensor, factor: float) -> torch.Tensor:
    return torch.diag(torch.tensor([1 / factor, 1 / factor, 1.0], dtype=intrinsics.dtype)) @ intrinsics


def _fits(scene: Scene, pairs: list[PairMatches]) -> np.ndarray:
    return np.array([pair_fit(scene, pair) for pair in pairs])


def _fraction(fits: np.ndarray) -> float:
    return float((fits >= FITTING).mean())
