"""How the object of a synthetic scene is lit: two lights and what comes from all around, matt or glossy paint, metal, shadows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from neus.geometry.rays import intersect_sphere
from neus.geometry.solids import Body
from neus.kernels.dispatch import kernels_for
from neus.scenes.synthetic_paint import dome_color

DOME_RADIUS = 5.0  # far enough to be no part of the object, near enough to show parallax
KEY_LIGHT, FILL_LIGHT = (0.45, -0.35, 0.82), (-0.75, 0.6, 0.28)  # unit directions towards the lights
AMBIENT, KEY, FILL, GLOSS, GLOSS_EXPONENT = 0.5, 0.55, 0.25, 0.12, 30.0
OCCLUSION_REACH = 0.15  # creases closer than this take away ambient light
# Of a light that moves with the camera: so far up from it, as a flash is.
FLASH_UP = 0.25
# Fraction of light that paint reflects unrefracted at normal incidence; metals reflect their tint.
DIELECTRIC = 0.04
# Roughness of metal, unless another is asked for.
METAL_ROUGHNESS = 0.2
# A ray towards a light begins so far off the surface, and is given up beyond the object.
SHADOW_START, SHADOW_END, SHADOW_STEPS = 4e-3, 2.0, 200


@dataclass(frozen=True)
class Light:
    """How a scene is lit; by default as the built-in one.

    Attributes:
        has_shadows: the key light is blocked by the object.
        is_headlight: the key light moves with the camera.
        roughness: GGX's alpha of all paint, in place of a little Phong gloss; None for that.
        is_metal: all parts are metal.
    """

    has_shadows: bool = False
    is_headlight: bool = False
    roughness: float | None = None
    is_metal: bool = False


def lit(
    body: Body, points: Tensor, normals: Tensor, directions: Tensor, paint: Tensor, is_metal: Tensor, light: Light
) -> Tensor:
    """RGB (N, 3) in [0, inf) of surface points (N, 3) seen along unit directions.

    Args:
        body: that they lie on; it takes away ambient light in creases, and throws shadows.
        points, normals, directions: (N, 3), scene frame, the latter two of unit length.
        paint: (N, 3) RGB, of metal its tint.
        is_metal: (N,) bool.
        light: what lights it.
    """
    key, fill = (normalize(points.new_tensor(toward), dim=0) for toward in (KEY_LIGHT, FILL_LIGHT))
    if light.is_headlight:
        key = normalize(points.new_tensor([0.0, 0.0, FLASH_UP]) - directions, dim=-1)
    freedom = kernels_for("solids", points.device).part_distances(body, points + OCCLUSION_REACH * normals).amin(dim=-1)
    openness = (freedom / OCCLUSION_REACH).clamp(0.3, 1.0)
    strength = KEY if not light.has_shadows else KEY * (~_in_shadow(body, points, normals, key)).to(points)
    from_key = (normals * key).sum(-1) if light.is_headlight else normals @ key
    diffuse = strength * from_key.clamp_min(0.0) + FILL * (normals @ fill).clamp_min(0.0)
    halfway = normalize(key - directions, dim=-1)
    matt = paint * (AMBIENT * openness + diffuse).unsqueeze(-1)
    if light.roughness is None:
        gloss = GLOSS * (normals * halfway).sum(-1).clamp_min(0.0) ** GLOSS_EXPONENT
        matt = matt + (gloss if not light.has_shadows else gloss * strength / KEY).unsqueeze(-1)
    else:
        matt = matt + _ggx(normals, -directions, key, halfway, paint.new_full((1, 3), DIELECTRIC), light.roughness, strength)
    if light.is_metal:
        is_metal = torch.ones_like(is_metal)
    if not is_metal.any():
        return matt
    roughness = METAL_ROUGHNESS if light.roughness is None else light.roughness
    shine = _ggx(normals, -directions, key, halfway, paint, roughness, strength)
    metal = paint * _mirrored(points, normals, directions) * openness.unsqueeze(-1) + shine
    return torch.where(is_metal.unsqueeze(-1), metal, matt)


def _in_shadow(body: Body, points: Tensor, normals: Tensor, key: Tensor) -> Tensor:
    """(N,) bool: whether the body stands between points and the light."""
    near = torch.full_like(points[:, 0], 0.0)
    trace = kernels_for("solids", points.device).first_hits
    start = points + SHADOW_START * normals
    toward = key.expand_as(points).contiguous()
    # At a low angle the start is near the surface all along: it must not count as its own shadow.
    return trace(body, start, toward, near, near + SHADOW_END, SHADOW_START / 4, SHADOW_STEPS).isfinite()


def _ggx(
    normals: Tensor, toward: Tensor, key: Tensor, halfway: Tensor, reflectance: Tensor, roughness: float, strength: Tensor | float
) -> Tensor:
    """RGB (N, 3) mirrored from the key light by a rough surface: D F G / (4 n.l n.v) of GGX (Walter et al. 2007), Schlick's F.

    Times pi, since the lights' strengths are those of what matt paint of albedo 1 shows.
    """
    key = key.expand_as(normals)
    n_l, n_v, n_h, v_h = (
        (a * b).sum(-1).clamp_min(1e-4) for a, b in ((normals, key), (normals, toward), (normals, halfway), (toward, halfway))
    )
    square = roughness**2
    distribution = square / (math.pi * (n_h.square() * (square - 1.0) + 1.0).square())
    # Smith's masking, height-correlated, over 4 n.l n.v.
    visibility = 0.5 / (n_l * (square + (1 - square) * n_v.square()).sqrt() + n_v * (square + (1 - square) * n_l.square()).sqrt())
    fresnel = reflectance + (1.0 - reflectance) * ((1.0 - v_h) ** 5).unsqueeze(-1)
    facing = ((normals * key).sum(-1) > 0.0).to(normals)
    return fresnel * (math.pi * strength * facing * distribution * visibility * n_l).unsqueeze(-1)


def _mirrored(points: Tensor, normals: Tensor, directions: Tensor) -> Tensor:
    """RGB (N, 3) of the dome in the direction in which a mirror sends the view; brighter than it is seen, as a lit room is."""
    reflected = normalize(directions - 2.0 * (directions * normals).sum(-1, keepdim=True) * normals, dim=-1)
    _, far, _ = intersect_sphere(points, reflected, DOME_RADIUS)
    upward = (0.5 + 0.5 * reflected[:, 2:]).clamp(0.0, 1.0)
    return dome_color(points + far.unsqueeze(-1) * reflected) * (0.8 + upward)
