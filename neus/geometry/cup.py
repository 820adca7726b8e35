"""A cup on a saucer in closed form: the object of the built-in scene, whose surface is known exactly.

One connected object, z up, within the unit sphere: a thin-walled cup grown together with its saucer, a handle (a hole),
a thin stirrer that stands in the cup and leans on its rim (a second hole), and a lump of sugar.
"""

import math

from torch import Tensor

from neus.geometry.solids import Body, Solid, placed, rod

# Cup and saucer as (distance from the axis, z), from below: foot, saucer, stem, outer wall, rim, inner wall. The wall
# is 0.04 to 0.05 thick: thin enough to be lost by a low-sharpness reconstruction, thick enough for a lattice of 128 a side.
PROFILE = [
    (0.0, -0.62), (0.29, -0.62), (0.33, -0.6), (0.7, -0.505), (0.725, -0.475), (0.69, -0.46), (0.33, -0.55),
    (0.25, -0.55), (0.24, -0.515), (0.34, -0.43), (0.4, -0.28), (0.43, -0.03), (0.45, 0.2), (0.475, 0.33),
    (0.43, 0.34), (0.405, 0.2), (0.385, -0.03), (0.357, -0.26), (0.3, -0.38), (0.2, -0.44), (0.0, -0.455),
]  # fmt: skip
SAUCER_TOP = -0.5  # below this height, and outside STEM_RADIUS, the profile is saucer: only its colour differs
# The ends of the handle's arc lie just outside the wall, so that their round caps end within it.
HANDLE_CENTER, HANDLE_RADIUS, HANDLE_TUBE = (0.46, 0.0, -0.04), 0.2, 0.045
HANDLE_TILT, HANDLE_HALF_ARC = -0.09, 1.63
# The stirrer stands 0.004 deep in the floor and leans 0.008 deep into the rim: touching, at any sensible resolution.
STIRRER_FOOT, STIRRER_TOP = (0.115, -0.0965, -0.422), (-0.429, 0.36, 0.535)
STIRRER_RADIUS, KNOB_RADIUS = 0.03, 0.055
# The sugar lies flat on the slope of the saucer, turned so that most views see two of its sides.
SUGAR_CENTER, SUGAR_AZIMUTH, SUGAR_SLOPE, SUGAR_TURN = (-0.226, -0.485, -0.435), math.radians(-115), 0.245, 0.5
SUGAR_HALF_SIDE, SUGAR_ROUNDING = 0.075, 0.015
BOUNDING_RADIUS = 0.9  # no part of the object lies further out


BODY = Body(
    (
        Solid("revolution", corners=tuple(PROFILE)),
        Solid(
            "torus", (HANDLE_RADIUS, HANDLE_TUBE, HANDLE_HALF_ARC), part=1,
            to_local=placed(HANDLE_CENTER, (math.pi / 2, 0.0, 0.0), (0.0, 0.0, HANDLE_TILT)),
        ),
        rod(STIRRER_FOOT, STIRRER_TOP, STIRRER_RADIUS, part=2),
        Solid("sphere", (KNOB_RADIUS,), to_local=placed(STIRRER_TOP), part=2),
        Solid(
            "box", (SUGAR_HALF_SIDE, SUGAR_HALF_SIDE, SUGAR_HALF_SIDE, SUGAR_ROUNDING), part=3,
            to_local=placed(SUGAR_CENTER, (0.0, 0.0, SUGAR_AZIMUTH), (0.0, -SUGAR_SLOPE, 0.0), (0.0, 0.0, SUGAR_TURN)),
        ),
    ),
    BOUNDING_RADIUS,
)  # fmt: skip


def object_sdf(points: Tensor) -> Tensor:
    """Signed distance (...) of points (..., 3) to the object, both in scene units: the truth.

    Exact outside. Exact inside too, except where parts overlap (the roots of the handle, the feet of stirrer and sugar,
    the knob): there the buried surface of a part still counts, and the depth is a lower bound.
    """
    return BODY.sdf(points)


def part_distances(points: Tensor) -> Tensor:
    """Signed distances (..., 4) of points (..., 3) to the object's parts: cup with saucer, handle, stirrer, sugar."""
    return BODY.part_distances(points)
