"""The objects of synthetic scenes: bodies in closed form and what their parts are painted with."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neus.geometry import bodies, cup
from neus.geometry.solids import Body
from neus.scenes.synthetic_paint import FINE_WAVELENGTHS, OBJECT_WAVELENGTHS, Paint, plain

# At what distance a ray touches: of the cup a twentieth of a pixel at 320x240, of wires far less than their radius.
USUAL_TOLERANCE, FINE_TOLERANCE = 3e-4, 3e-5


def _by_part(points: Tensor, part: Tensor) -> Tensor:
    return part


def _by_part_of_cup(points: Tensor, part: Tensor) -> Tensor:
    is_saucer = (part == 0) & (points[:, 2] < cup.SAUCER_TOP)
    return torch.where(is_saucer | (part > 0), part + 1, 0)


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        about: what it is for, in a few words.
        make: its body.
        names, paints: of its paints.
        paint_of: which paint points (N, 3) of parts (N,) have.
        tolerance: of tracing, scene units.
        wavelengths: of the paints' patterns, scene units.
    """

    about: str
    make: Callable[[], Body]
    names: tuple[str, ...]
    paints: tuple[Paint, ...]
    paint_of: Callable[[Tensor, Tensor], Tensor] = _by_part
    tolerance: float = FINE_TOLERANCE
    wavelengths: tuple[float, ...] = FINE_WAVELENGTHS


# Dark and light colour of cup, saucer, handle, stirrer, sugar: the parts can be distinguished at a glance.
_CUP_PAINTS = (
    Paint((0.10, 0.22, 0.42), (0.95, 0.90, 0.78)), Paint((0.36, 0.10, 0.10), (0.98, 0.76, 0.55)),
    Paint((0.45, 0.20, 0.03), (1.00, 0.80, 0.20)), Paint((0.05, 0.25, 0.12), (0.70, 0.95, 0.45)),
    Paint((0.42, 0.36, 0.28), (1.00, 0.98, 0.95)),
)  # fmt: skip
_GROUND = Paint((0.20, 0.26, 0.14), (0.72, 0.74, 0.56))
_WALLS, _TILES = Paint((0.45, 0.30, 0.22), (0.92, 0.82, 0.68)), Paint((0.30, 0.08, 0.05), (0.85, 0.42, 0.28))
_STONE, _LABEL = Paint((0.30, 0.30, 0.32), (0.86, 0.84, 0.80)), Paint((0.10, 0.15, 0.45), (0.95, 0.85, 0.35))
_PLASTER, _STEEL = plain((0.68, 0.66, 0.62)), plain((0.88, 0.87, 0.85), is_metal=True)

SHAPES = {
    "cup": Shape(
        "the built-in scene's cup", lambda: cup.BODY, ("cup", "saucer", "handle", "stirrer", "sugar"), _CUP_PAINTS,
        _by_part_of_cup, USUAL_TOLERANCE, OBJECT_WAVELENGTHS,
    ),
    "house": Shape(
        "a house with a yard twice as deep as wide", bodies.house, ("walls", "slab", "roof", "plain roof", "chimney and sills"),
        (_WALLS, _GROUND, _TILES, _PLASTER, _PLASTER),
    ),
    "rods": Shape(
        "a grid of wires and rods 0.5 to 3 px thick", bodies.rods, ("frame", "wires", "rods"), (_GROUND, _STONE, _LABEL)
    ),
    "white": Shape("a smooth white body", bodies.white, ("body",), (plain((0.78, 0.78, 0.76)),)),
    "tins": Shape("metal tins", bodies.tins, ("slab", "bare tins", "painted tin"), (_GROUND, _STEEL, _LABEL)),
    "relief": Shape("a ball with fine relief", bodies.relief, ("ball",), (_STONE,)),
}  # fmt: skip
