"""Bodies that are hard to reconstruct, each for one reason, in closed form; z is up, all lie within the unit sphere.

A house with a deep yard, rods and wires a few pixels thick and less, a smooth body, tins, and fine relief. Measures in pixels are those of
images 320x240 of the built-in scene's cameras: PIXEL scene units at the centre.
"""

import math

import numpy as np
import torch

from neus.geometry.solids import Body, Relief, Solid, block, placed, rod

# Of an image 320x240 with a focal length of 360 pixels, 3 units away.
PIXEL = 3.0 / 360.0
GROUND = -0.4  # the upper side of the slab on which bodies stand
SLAB_HALF_SIDE, SLAB_HALF_HEIGHT = 0.5, 0.05


def _slab(part: int) -> Solid:
    half = (SLAB_HALF_SIDE, SLAB_HALF_SIDE, SLAB_HALF_HEIGHT)
    return block((0.0, 0.0, GROUND - SLAB_HALF_HEIGHT), half, rounding=0.01, part=part)


def _gable(middle: tuple[float, float], length: float, width: float, foot: float, height: float, part: int, turn: float) -> Solid:
    """A roof whose ridge runs along y, turned about z: a triangle swept along its ridge."""
    # The prism's own axis, z, becomes the ridge: x stays, y becomes up.
    motion = placed((*middle, foot), (0.0, 0.0, turn), (math.pi / 2, 0.0, 0.0))
    corners = ((-width / 2, 0.0), (width / 2, 0.0), (0.0, height))
    return Solid("prism", (length / 2,), corners, motion, part)


def house() -> Body:
    """A house of three wings about a yard, twice as deep as wide, that is open to the front.

    Parts: walls, slab, roofs of the back and left wing, roof of the right wing, chimney and sills.
    """
    outer, yard_half, yard_back, top = 0.42, 0.13, 0.1, 0.04
    plan = (
        (-outer, -outer), (-yard_half, -outer), (-yard_half, yard_back), (yard_half, yard_back), (yard_half, -outer),
        (outer, -outer), (outer, outer), (-outer, outer),
    )  # fmt: skip
    half_height = (top - GROUND) / 2 + 0.01  # a little deep in the slab
    walls = Solid("prism", (half_height,), plan, placed((0.0, 0.0, top - half_height)), part=0)
    side, back = outer - yard_half, outer - yard_back
    left, right = (-(outer + yard_half) / 2, (yard_back - outer) / 2), ((outer + yard_half) / 2, (yard_back - outer) / 2)
    foot = top - 0.005
    roofs = [
        _gable((0.0, (outer + yard_back) / 2), 2 * outer, back, foot, 0.27, part=2, turn=math.pi / 2),
        _gable(left, yard_back + outer + 0.1, side, foot, 0.2, part=2, turn=0.0),
        _gable(right, yard_back + outer + 0.1, side, foot, 0.2, part=3, turn=0.0),
    ]
    chimney = block((0.22, 0.3, 0.2), (0.045, 0.045, 0.17), part=4)
    sills = [block((x, -outer, -0.16), (0.07, 0.02, 0.012), part=4) for x in (left[0], right[0])]
    sills += [block((sign * outer, y, -0.16), (0.02, 0.07, 0.012), part=4) for sign in (-1, 1) for y in (-0.15, 0.2)]
    return Body((walls, _slab(1), *roofs, chimney, *sills), radius=0.9)


def rods() -> Body:
    """A frame with a grid of wires 0.5 to 3 pixels thick, and rods as thick that stand by themselves.

    Parts: frame and slab, wires, rods.
    """
    top, half_width, post = 0.5, 0.42, 0.025
    frame = [rod((x, 0.0, GROUND - 0.01), (x, 0.0, top), post) for x in (-half_width, half_width)]
    frame.append(rod((-half_width, 0.0, top), (half_width, 0.0, top), post))
    thick = np.array([0.5, 1.0, 1.5, 2.0, 3.0]) * PIXEL / 2
    places = np.linspace(-0.28, 0.28, len(thick))
    wires = [rod((x, 0.0, GROUND), (x, 0.0, top), r, part=1) for x, r in zip(places, thick, strict=True)]
    wires += [
        rod((-half_width, 0.0, z), (half_width, 0.0, z), r, part=1) for z, r in zip(places + 0.08, thick, strict=True)
    ]
    angles = 2.0 * math.pi * (np.arange(2 * len(thick)) + 0.5) / (2 * len(thick))
    standing = [
        rod((0.42 * math.cos(a), 0.42 * math.sin(a), GROUND - 0.01), (0.36 * math.cos(a), 0.36 * math.sin(a), 0.1), r, part=2)
        for a, r in zip(angles, np.repeat(thick, 2), strict=True)
    ]
    return Body((*frame, _slab(0), *wires, *standing), radius=0.9)


def white() -> Body:
    """A smooth body without an edge or a flat side. One part."""
    return Body((Solid("sphere", (0.6,), relief=_relief(0.16, (0.7, 1.3), 6, seed=3)),), radius=0.8)


def tins() -> Body:
    """Three tins with rims on a slab. Parts: slab, two tins, the third."""

    def tin(x: float, y: float, radius: float, height: float, part: int) -> Solid:
        rim = 0.015
        profile = (
            (0.0, 0.0), (radius, 0.0), (radius, height), (radius + rim, height), (radius + rim, height + 2 * rim),
            (radius - rim, height + 2 * rim), (radius - rim, height), (0.0, height),
        )  # fmt: skip
        return Solid("revolution", corners=profile, to_local=placed((x, y, GROUND - 0.005)), part=part)

    return Body((_slab(0), tin(-0.25, 0.1, 0.2, 0.5, 1), tin(0.22, 0.25, 0.15, 0.75, 1), tin(0.15, -0.22, 0.2, 0.3, 2)), radius=0.9)


def relief() -> Body:
    """A ball whose surface is finely chased: waves of 8 to 25 pixels, up to 3 pixels high. One part."""
    waves = _relief(6.0 * PIXEL, (8.0 * PIXEL, 25.0 * PIXEL), 12, seed=11)
    return Body((Solid("sphere", (0.62,), relief=waves),), radius=0.75)


def _relief(amplitude: float, lengths: tuple[float, float], n_waves: int, seed: int) -> Relief:
    """Waves in random directions with lengths evenly spread, on a logarithmic scale, over a range."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n_waves, 3, generator=generator, dtype=torch.float64), dim=-1)
    length = np.geomspace(*lengths, n_waves)
    phases = 2.0 * math.pi * torch.rand(n_waves, generator=generator, dtype=torch.float64)
    vectors = directions * torch.from_numpy(2.0 * math.pi / length)[:, None]
    return Relief(amplitude, tuple(map(tuple, torch.cat([vectors, phases[:, None]], dim=1).tolist())))
