"""Images of levels of detail: one hit for each ray, its normal, and a plain shade or the baked colour."""

import torch
from torch import Tensor

from neus.errors import InputError
from neus.lod.walk import LodWalk
from neus.rendering.renderer import RenderedPixels

SHADINGS = ("lambert", "color")
# Grey clay, lit from the camera; a part of the light comes from everywhere.
CLAY, AMBIENT = 0.85, 0.2
WHITE = 1.0


class LodRenderer:
    """A `Renderer` of a pyramid at one level, for `neus.rendering.views.render_view`.

    Attributes:
        device: a CPU.
        rays_at_a_time: all of an image of a million pixels.
    """

    device = torch.device("cpu")
    rays_at_a_time = 2**20

    def __init__(self, walk: LodWalk, shading: str = "lambert") -> None:
        """Takes a walk.

        Args:
            walk: what is rendered.
            shading: `lambert` for clay lit from the camera, `color` for the baked colours.

        Raises:
            InputError: another shading, or a model without colours.
        """
        if shading not in SHADINGS:
            raise InputError(f"shading {shading!r}: expected one of {', '.join(SHADINGS)}.")
        if shading == "color" and not walk.field.layout.has_colors:
            raise InputError("shading color: this model has its shape only; bake it again with --color, or render it as lambert.")
        self.walk, self.shading = walk, shading

    @torch.no_grad()
    def render(
        self, origins: Tensor, directions: Tensor, background: Tensor | None = None, forward: Tensor | None = None
    ) -> RenderedPixels:
        """Pixels of rays (N, 3), (N, 3), in front of one colour (3,), white if None; arguments as in `Model.render`."""
        found = self.walk.trace(origins, directions)
        hit = found.hit.nonzero().squeeze(-1)
        points = origins[hit] + found.t[hit].unsqueeze(-1) * directions[hit]
        normals = torch.zeros_like(origins)
        normals[hit] = torch.nn.functional.normalize(self.walk.gradients(points.clamp(-1.0, 1.0)), dim=1)
        rgb = origins.new_full((len(origins), 3), WHITE) if background is None else background.expand(len(origins), 3).clone()
        if self.shading == "color":
            rgb[hit] = self.walk.field.rgb(points, self.walk.level)
        else:
            facing = -(normals[hit] * directions[hit]).sum(1, keepdim=True)
            rgb[hit] = (CLAY * (AMBIENT + (1.0 - AMBIENT) * facing.clamp_min(0.0))).expand(-1, 3)
        opacity = found.hit.to(origins.dtype)
        t = found.t * opacity
        depth = t if forward is None else t * (directions @ forward.to(directions))
        return RenderedPixels(rgb, opacity, opacity, depth, t, normals)
