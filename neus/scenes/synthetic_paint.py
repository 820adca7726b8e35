"""What synthetic scenes are painted with: solid patterns that never repeat, on the object and on the dome around it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Color = tuple[float, float, float]

DOME_COLORS = [(0.10, 0.13, 0.17), (0.50, 0.58, 0.62), (0.30, 0.27, 0.36)]
# From a third of the object down to about ten pixels at 320x240: something to match at every scale, and to be learnt.
OBJECT_WAVELENGTHS, DOME_WAVELENGTHS = (0.5, 0.25, 0.12), (5.0, 2.2, 1.0, 0.5)
FINE_WAVELENGTHS = (0.5, 0.25, 0.12, 0.05)  # down to six pixels
WAVES_PER_OCTAVE = 4
TEXTURE_SEED = 7
HUE_SHIFT = 0.12  # slow drift of the paint's hue, so that no two points look the same


@dataclass(frozen=True)
class Paint:
    """The paint of one part.

    Attributes:
        dark, light: RGB in [0, 1] between which its pattern varies; equal for plain paint, which has no texture at all.
        is_metal: mirrors its surroundings, tinted by the paint.
    """

    dark: Color
    light: Color
    is_metal: bool = False

    @property
    def is_textured(self) -> bool:
        """Whether images of it can be matched: painted with a pattern, and no mirror."""
        return self.dark != self.light and not self.is_metal


def plain(color: Color, is_metal: bool = False) -> Paint:
    """Paint without a pattern."""
    return Paint(color, color, is_metal)


def painted(
    points: Tensor, index: Tensor, paints: tuple[Paint, ...], wavelengths: tuple[float, ...] = OBJECT_WAVELENGTHS
) -> Tensor:
    """RGB (N, 3) of points (N, 3), scene frame, each with the paint of its index (N,), whose pattern has such wavelengths."""
    coarse, fine = _waves(points, wavelengths)
    dark, light = (points.new_tensor([getattr(p, end) for p in paints])[index] for end in ("dark", "light"))
    color = torch.lerp(dark, light, _contrast(fine))
    varied = color * (1.0 - HUE_SHIFT + HUE_SHIFT * torch.sin(9.0 * coarse + points.new_tensor([0.0, 2.0, 4.0])))
    has_pattern = torch.tensor([p.dark != p.light for p in paints])[index]
    return torch.where(has_pattern.unsqueeze(-1), varied, color)


def dome_color(points: Tensor) -> Tensor:
    """RGB (N, 3) in [0, 1] of points (N, 3) on the dome, which shines by itself; cooler and calmer than the object."""
    coarse, fine = _waves(points, DOME_WAVELENGTHS)
    dark, light, other = points.new_tensor(DOME_COLORS)
    return torch.lerp(torch.lerp(dark, light, _contrast(fine)), other, 0.7 * _contrast(coarse))


def _waves(points: Tensor, wavelengths: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """A solid pattern that never repeats, (N, 1): its coarsest octave, and all octaves, each bent by the one before."""
    generator = torch.Generator().manual_seed(TEXTURE_SEED)
    octave, octaves = torch.zeros_like(points[:, 0]), []
    for wavelength in wavelengths:
        directions = torch.nn.functional.normalize(torch.randn(3, WAVES_PER_OCTAVE, generator=generator), dim=0)
        phases = 2.0 * math.pi * torch.rand(WAVES_PER_OCTAVE, 1, generator=generator)
        # One row for each wave: the mean then runs over whole rows, which is many times faster.
        angles = (2.0 * math.pi / wavelength * directions).T.to(points) @ points.T + phases.to(points)
        octave = angles.add_(2.0 * octave).sin_().mean(dim=0)
        octaves.append(octave)
    return octaves[0].unsqueeze(-1), sum(octaves).unsqueeze(-1)


def _contrast(value: Tensor) -> Tensor:
    """Values about zero spread towards 0 and 1."""
    return torch.sigmoid(5.0 * value)
