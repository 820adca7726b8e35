"""Four families of closed-form shapes, drawn at random, whose signed distance is exact: mugs, bottles, tables, chairs.

z is up. Each shape is moved so that the centre of its box is the origin, and scaled so that its farthest point is at 1 / 1.03,
as meshes are in the data of DeepSDF.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neus.errors import InputError
from neus.geometry.poses import invert
from neus.geometry.similarity import transform_points
from neus.geometry.solids import Body, Solid, block, placed
from neus.kernels.dispatch import kernels_for

# The farthest point of a normalised shape, as the published preprocessing has it.
FARTHEST = 1.0 / 1.03
# Points on the circle within a handle's tube, from which box and farthest point follow; off by a millionth of its radius.
ARC_POINTS = 1001
# How deep the round ends of a handle reach into the wall, in parts of its thickness.
ROOT_DEPTH = 0.6
# Of the ring of a handle, at most this part of the height.
TALLEST_RING = 0.42

Parameters = dict[str, float]


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        ranges: of its parameters, drawn uniformly; a whole number of values for `choices`.
        solids: from parameters to the solids of a shape, in units of its parameters.
        choices: parameters that are 0 or 1.
        axis: whether shapes are round about z, so that no turn about it can be seen.
    """

    ranges: dict[str, tuple[float, float]]
    solids: Callable[[Parameters], list[Solid]]
    choices: tuple[str, ...] = ()
    axis: bool = False


@dataclass(frozen=True, eq=False)
class FamilyShape:
    """One shape of a family, normalised.

    Attributes:
        family: its name.
        parameters: in units before scaling.
        body: in those units.
        center, scale: x_normalised = (x - center) * scale.
    """

    family: str
    parameters: Parameters
    body: Body
    center: tuple[float, float, float]
    scale: float

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances of points (..., 3) in the normalised frame, exact but in overlaps of parts."""
        local = points.double() / self.scale + points.new_tensor(self.center, dtype=torch.float64)
        parts = kernels_for("solids", torch.device("cpu")).part_distances(self.body, local.reshape(-1, 3).contiguous())
        return (self.scale * parts.amin(dim=-1)).reshape(points.shape[:-1]).to(points.dtype)


def mug_solids(p: Parameters) -> list[Solid]:
    """Cup with a floor 1.5 walls thick, and a handle whose ends lie just outside the wall, their caps within it."""
    height, radius, wall = p["height"], p["radius"], p["wall"]
    foot, floor = radius * p["taper"], 1.5 * wall
    slope = (radius - foot) / height
    inner_foot = foot + slope * floor - wall
    outer, inner = ((0.0, 0.0), (foot, 0.0), (radius, height)), ((radius - wall, height), (inner_foot, floor), (0.0, floor))
    cup = Solid("revolution", corners=outer + inner)
    tilt, ring = math.atan(slope), min(p["handle"], TALLEST_RING * height)
    outside = p["tube"] - ROOT_DEPTH * wall
    center = ((foot + radius) / 2 + outside * math.cos(tilt), 0.0, height / 2 - outside * math.sin(tilt))
    # The arc's plane, xy of the torus, becomes xz; then it leans outwards with the wall.
    handle = Solid(
        "torus", (ring, p["tube"], math.pi / 2), to_local=placed(center, (math.pi / 2, 0.0, 0.0), (0.0, 0.0, -tilt)), part=1
    )
    return [cup, handle]


def bottle_solids(p: Parameters) -> list[Solid]:
    """A solid of revolution: body, shoulder that rises over half of what is above it, neck and lip."""
    height, radius, neck, lip = p["height"], p["radius"], p["neck"], p["lip"]
    shoulder = p["shoulder"] * height
    throat = shoulder + 0.5 * (height - shoulder)
    rim = height - 0.25 * (height - throat)
    corners = [(0.0, 0.0), (radius, 0.0), (radius, shoulder), (neck, throat)]
    if lip > 1e-3:  # thinner than that is no lip
        corners += [(neck, rim), (neck + lip, rim), (neck + lip, height)]
    else:
        corners += [(neck, height)]
    return [Solid("revolution", corners=(*corners, (0.0, height)))]


def table_solids(p: Parameters) -> list[Solid]:
    """A top and four legs flush with its corners."""
    x, y, leg = p["width"] / 2, p["depth"] / 2, p["leg"]
    top = block((0.0, 0.0, p["height"] - p["top"] / 2), (x, y, p["top"] / 2))
    half = (p["height"] - p["top"] / 2) / 2
    return [top, *(block((sx * (x - leg), sy * (y - leg), half), (leg, leg, half), part=1) for sx in (-1, 1) for sy in (-1, 1))]


def chair_solids(p: Parameters) -> list[Solid]:
    """Seat, back, four legs; with arms two posts and two rails more. The back is at -y."""
    x, y, seat, back, leg = p["width"] / 2, p["depth"] / 2, p["seat"], p["back"], p["leg"] / 2
    sheet = max(p["leg"], 0.05)
    solids = [
        block((0.0, 0.0, seat - sheet / 2), (x, y, sheet / 2)),
        block((0.0, -y + sheet / 2, seat + (back - sheet) / 2), (x, sheet / 2, (back + sheet) / 2), part=1),
    ]
    half = (seat - sheet / 2) / 2
    solids += [block((sx * (x - leg), sy * (y - leg), half), (leg, leg, half), part=2) for sx in (-1, 1) for sy in (-1, 1)]
    if p["arms"] > 0.5:
        rail = seat + 0.55 * back
        for side in (-1, 1):
            post = (rail - seat + sheet / 2) / 2
            solids.append(block((side * (x - leg), y - leg - 0.1 * p["depth"], rail - post), (leg, leg, post), part=3))
            reach = (2 * y - 0.1 * p["depth"] - sheet / 2) / 2
            solids.append(block((side * (x - leg), -y + sheet / 2 + reach, rail), (leg, reach, leg), part=3))
    return solids


FAMILIES = {
    "mug": Family(
        {
            "height": (0.7, 1.2), "radius": (0.25, 0.45), "taper": (0.7, 1.0), "wall": (0.03, 0.06), "handle": (0.15, 0.28),
            "tube": (0.035, 0.035),
        },
        mug_solids,
    ),
    "bottle": Family(
        {"height": (0.9, 1.5), "radius": (0.15, 0.35), "shoulder": (0.4, 0.7), "neck": (0.05, 0.12), "lip": (0.0, 0.04)},
        bottle_solids,
        axis=True,
    ),
    "table": Family(
        {"width": (0.6, 1.1), "depth": (0.4, 0.8), "height": (0.4, 0.8), "top": (0.03, 0.08), "leg": (0.03, 0.09)}, table_solids
    ),
    "chair": Family(
        {"width": (0.35, 0.6), "depth": (0.35, 0.6), "seat": (0.3, 0.55), "back": (0.3, 0.7), "leg": (0.03, 0.08), "arms": (0.0, 1.0)},
        chair_solids,
        choices=("arms",),
    ),
}  # fmt: skip


def draw_parameters(family: str, generator: np.random.Generator) -> Parameters:
    """Random parameters of a family, uniform in their ranges.

    Raises:
        InputError: no such family.
    """
    known = family_of(family)
    drawn = {name: float(generator.uniform(*limits)) for name, limits in known.ranges.items()}
    return {name: float(round(value)) if name in known.choices else value for name, value in drawn.items()}


def family_of(name: str) -> Family:
    """The family of a name; InputError if there is none."""
    if name not in FAMILIES:
        raise InputError(f"family {name!r}: expected one of {', '.join(FAMILIES)}, or all.")
    return FAMILIES[name]


def free_parameters(family: str) -> list[str]:
    """Names of the parameters that differ between the shapes of a family."""
    return [name for name, (low, high) in family_of(family).ranges.items() if high > low]


def family_shape(family: str, parameters: Parameters) -> FamilyShape:
    """The normalised shape of some parameters.

    >>> shape = family_shape("table", {"width": 1.0, "depth": 0.6, "height": 0.7, "top": 0.05, "leg": 0.04})
    >>> float(shape.sdf(torch.tensor([0.0, 0.0, 0.0]))) > 0 > float(shape.sdf(torch.tensor([0.0, 0.0, 0.46])))
    True
    """
    solids = family_of(family).solids(parameters)
    boxes = np.stack([_box_of(solid) for solid in solids])
    center = (boxes[:, 0].min(axis=0) + boxes[:, 1].max(axis=0)) / 2
    farthest = max(_farthest(solid, center) for solid in solids)
    return FamilyShape(family, parameters, Body(tuple(solids), 2.0), tuple(center.tolist()), FARTHEST / farthest)


def _reaching(solid: Solid) -> tuple[NDArray, float]:
    """Points (n, 3) and a radius: the balls about them reach as far as the solid does, in its frame of origin."""
    if solid.kind == "revolution":
        radii, heights = np.array(solid.corners).T
        angles = np.linspace(0.0, 2.0 * np.pi, 8 * 45 + 1)
        circles = [np.column_stack([r * np.cos(angles), r * np.sin(angles), np.full_like(angles, z)]) for r, z in zip(radii, heights)]
        return np.concatenate(circles), 0.0
    if solid.kind == "torus":
        ring, tube, half_arc = solid.sizes
        angles = np.linspace(-half_arc, half_arc, ARC_POINTS)
        local, radius = np.column_stack([ring * np.cos(angles), ring * np.sin(angles), 0.0 * angles]), tube
    else:
        signs = np.stack(np.meshgrid(*3 * [[-1.0, 1.0]], indexing="ij"), axis=-1).reshape(-1, 3)
        local, radius = signs * solid.sizes[:3], 0.0
    return transform_points(invert(solid.to_local), torch.from_numpy(local)).numpy(), radius


def _box_of(solid: Solid) -> NDArray:
    points, radius = _reaching(solid)
    return np.stack([points.min(axis=0) - radius, points.max(axis=0) + radius])


def _farthest(solid: Solid, center: NDArray) -> float:
    points, radius = _reaching(solid)
    return float(np.linalg.norm(points - center, axis=1).max()) + radius
