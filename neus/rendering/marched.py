"""A hash model rendered by few sections per ray in one fused kernel: the pictures of `render_rays`, some ten times sooner."""

import torch
from torch import Tensor

from neus.rendering.distance_cache import NOWHERE_NEAR, DistanceCache
from neus.rendering.fused import FusedModel, fused_pixels, fused_sdf
from neus.rendering.model import Model
from neus.rendering.renderer import RenderedPixels

# Sections of a ray, and the share of them that is not placed on the surface: more of the first than in training, for calm edges.
N_SECTIONS, UNIFORM_SHARE = 32, 0.1
# Rays marched at a time: a CPU's kernel cuts them into tiles itself; on a GPU memory sets the bound.
RAYS_MARCHED, RAYS_MARCHED_GPU = 2**14, 2**17


class MarchedRenderer:
    """Pixels of a model as it was when this was made.

    Looks at a cache of its distances to place 32 sections on each ray, and evaluates colours where their weight is more than a
    thousandth. Rays that the cache sees pass far from the surface are not looked at; they show what is behind.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.view = model, FusedModel.of(model)
        self.cache = DistanceCache.of(lambda points: fused_sdf(model, points), device=model.device)
        self.device = model.device
        self.rays_at_a_time = RAYS_MARCHED if self.device.type == "cpu" else RAYS_MARCHED_GPU
        self.sharpness = float(model.sharpness().detach())

    @torch.no_grad()
    def render(
        self, origins: Tensor, directions: Tensor, background: Tensor | None = None, forward: Tensor | None = None
    ) -> RenderedPixels:
        """Pixels of rays (N, 3), (N, 3); arguments as in `Model.render`."""
        edges, clearance = self.cache.sections(origins, directions, N_SECTIONS, self.sharpness, UNIFORM_SHARE)
        has_network = self.model.config.neus_renderer.n_outside > 0
        backdrop = background
        if backdrop is None or has_network:
            backdrop = self.model.backdrop(origins, directions)
        backdrop = torch.zeros(3) if backdrop is None else backdrop
        backdrop = backdrop.to(origins).expand(len(origins), 3)
        # A ray that misses by more than the blur of the surface has no weight anywhere.
        near = (clearance < max(NOWHERE_NEAR, 10.0 / self.sharpness)) & (edges[:, -1] > edges[:, 0])
        pixels = fused_pixels(self.model, self.view, origins[near], directions[near], edges[near], backdrop[near])
        rgb, opacity, t, normals = backdrop.clone(), *(origins.new_zeros(len(origins), *s) for s in ((), (), (3,)))
        rgb[near], opacity[near], t[near], normals[near] = pixels
        along_axis = 1.0 if forward is None else (directions * forward).sum(-1)
        whole = torch.ones_like(opacity) if has_network else opacity
        normals = torch.nn.functional.normalize(normals, dim=-1)
        return RenderedPixels(rgb, whole, opacity, t * along_axis, t, normals)
