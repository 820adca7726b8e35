"""Which renderer makes the pictures of a trained model: all the volume, the surface's shell, or the surface."""

from dataclasses import replace

import torch
from torch import Tensor

from neus.kernels.dispatch import runs_compiled
from neus.rendering.fused import fused_kernels, why_not_fused
from neus.rendering.marched import MarchedRenderer
from neus.rendering.model import Model
from neus.rendering.renderer import RenderedPixels
from neus.rendering.shading import FieldShading, FusedShading, Shading, void
from neus.rendering.shell import ShellConfig
from neus.rendering.shell_renderer import ShellRenderer, Tally, why_not_shell
from neus.rendering.views import Renderer

__all__ = ["VolumeRenderer", "fastest_renderer", "renderer_for", "why_not_shell"]

# Points evaluated at a time: on a CPU few enough to stay in its caches, on a GPU enough to fill it.
MAX_POINTS_CPU, MAX_POINTS_GPU = 2**15, 2**18
VOLUME_RAYS = 2**12


class VolumeRenderer:
    """Pixels by the full sampler, with a tally like `ShellRenderer`'s."""

    def __init__(self, model: Model, shading: Shading, background: Tensor | None = None) -> None:
        self.model, self.shading, self.background, self.tally = model, shading, background, Tally()
        self.fields = model.fields()
        self.device, self.rays_at_a_time = model.device, VOLUME_RAYS

    @torch.no_grad()
    def render(
        self, origins: Tensor, directions: Tensor, background: Tensor | None = None, forward: Tensor | None = None
    ) -> RenderedPixels:
        """Pixels of rays (N, 3), (N, 3); arguments as in `Model.render`."""
        pixels = self.shading.full(origins, directions, self.background if background is None else background)
        self.tally.add_full(self.model.config.neus_renderer, len(origins))
        self.tally.rays += len(origins)
        along_axis = 1.0 if forward is None else (directions * forward).sum(-1)
        normals = torch.nn.functional.normalize(pixels.normals, dim=-1)
        return pixels._replace(depth=pixels.t * along_axis, normals=normals)


def renderer_for(
    model: Model, mode: str = "shell", alone: bool = False, config: ShellConfig | None = None
) -> VolumeRenderer | ShellRenderer:
    """What renders a trained model, for as long as it does not change.

    Args:
        model: MLP or hash model.
        mode: `shell`, `volume` or `surface`; `shell` becomes `volume` where `why_not_shell` gives a reason.
        alone: the surface without background network, on black, cut off at the unit sphere if it has such a network.
        config: of the shell.
    """
    fields, renderer = model.fields(), model.config.neus_renderer
    if alone and fields.background is not None:
        fields = replace(fields, background=void)
    background = None if alone else model.background
    shading: Shading
    if _is_walked(model):
        shading = FusedShading(model, alone)
    else:
        max_points = MAX_POINTS_CPU if model.device.type == "cpu" else MAX_POINTS_GPU
        shading = FieldShading(fields, renderer, max_points)
    if mode == "volume" or (mode == "shell" and why_not_shell(fields)):
        return VolumeRenderer(model, shading, background)
    return ShellRenderer(shading, fields, renderer, mode, config, background)


def fastest_renderer(model: Model) -> Renderer | Model:
    """What renders a trained model fastest without showing it, for as long as it does not change.

    Hash models by their shell, or marched while their surface is still too blurred for it; others by themselves.
    """
    if why_not_fused(model) or not runs_compiled("fused_step", model.device):
        return model
    is_shell = _is_walked(model) and not why_not_shell(model.fields())
    return renderer_for(model) if is_shell else MarchedRenderer(model)


def _is_walked(model: Model) -> bool:
    """Whether a kernel walks the shell of a hash model where it is; there is none for a GPU yet, whose torch does it."""
    is_fused = not why_not_fused(model) and runs_compiled("fused_step", model.device)
    return is_fused and hasattr(fused_kernels(model), "walk")
