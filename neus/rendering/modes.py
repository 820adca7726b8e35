"""Which renderer makes the images of a trained model: all the volume, the surface's shell, or the surface."""

from dataclasses import replace

import torch
from torch import Tensor

from neus.rendering.fused import fused_kernels
from neus.rendering.model import Model
from neus.rendering.queries import fastest_sdf, is_fused
from neus.rendering.renderer import RenderedPixels
from neus.rendering.shading import FieldShading, FusedShading, Shading
from neus.rendering.shell import ShellConfig
from neus.rendering.shell_renderer import ShellRenderer, TracingStats, why_not_shell

__all__ = ["VolumeRenderer", "renderer_for", "why_not_shell"]

# Points evaluated at a time: on a CPU few enough to stay in its caches, on a GPU enough to fill it.
MAX_POINTS_CPU, MAX_POINTS_GPU = 2**15, 2**18
VOLUME_RAYS = 2**12


class VolumeRenderer:
    """Pixels by volume rendering, with statistics like `ShellRenderer`'s."""

    def __init__(self, model: Model, shading: Shading, background: Tensor | None = None) -> None:
        self.model, self.shading, self.background, self.stats = model, shading, background, TracingStats()
        self.fields = model.fields()
        self.device, self.rays_at_a_time = model.device, VOLUME_RAYS

    @torch.no_grad()
    def render(
        self, origins: Tensor, directions: Tensor, background: Tensor | None = None, forward: Tensor | None = None
    ) -> RenderedPixels:
        """Pixels of rays (N, 3), (N, 3); arguments as in `Model.render`."""
        pixels = self.shading.full(origins, directions, self.background if background is None else background)
        self.stats.add_full(self.model.config.neus_renderer, len(origins))
        self.stats.rays += len(origins)
        along_axis = 1.0 if forward is None else (directions * forward).sum(-1)
        normals = torch.nn.functional.normalize(pixels.normals, dim=-1)
        return pixels._replace(depth=pixels.t * along_axis, normals=normals)


def renderer_for(
    model: Model, mode: str = "auto", alone: bool = False, config: ShellConfig | None = None
) -> VolumeRenderer | ShellRenderer:
    """What renders a trained model, for as long as it does not change.

    Args:
        model: MLP or hash model.
        mode: `shell`, `volume` or `surface`; `shell` becomes `volume` where `why_not_shell` gives a reason. `auto` is what is fastest
            without showing it: the shell, or the volume where only that has a kernel for the model's device.
        alone: the surface without background network, on black, cut off at the unit sphere if it has such a network.
        config: of the shell.
    """
    fields, renderer = model.fields(), model.config.neus_renderer
    if alone and fields.background is not None:
        fields, renderer = replace(fields, background=None), replace(renderer, near_far="sphere")
    background = None if alone else model.background
    is_whole = renderer.near_far == "sphere" and is_fused(model)
    # There is no kernel for a GPU yet that traces the shell; torch does it there.
    is_traced = is_whole and hasattr(fused_kernels(model), "trace")
    shows_volume = mode == "volume" or (mode in ("auto", "shell") and bool(why_not_shell(fields)))
    shows_volume |= mode == "auto" and is_whole and not is_traced
    shading: Shading
    if is_traced or (is_whole and shows_volume):
        shading = FusedShading(model, fields)
    else:
        max_points = MAX_POINTS_CPU if model.device.type == "cpu" else MAX_POINTS_GPU
        # A hash model that is sampled as NeuS samples has no other kernel than that of its distances, of which the shell takes most.
        shading = FieldShading(fields, renderer, max_points, fastest_sdf(model) if is_fused(model) else None)
    if shows_volume:
        return VolumeRenderer(model, shading, background)
    return ShellRenderer(shading, fields, renderer, mode, config, background)
