"""A whole NeuS model: its networks together, as one differentiable object to query and render."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neus.fields.background import Nerf, NerfConfig
from neus.fields.color_network import ColorNetwork, ColorNetworkConfig
from neus.fields.hash_sdf import HashSdf, HashSdfConfig
from neus.fields.sdf_network import SdfNetwork, SdfNetworkConfig
from neus.fields.sharpness import Sharpness, SharpnessConfig
from neus.rendering.density import DENSITIES
from neus.rendering.renderer import (
    Fields,
    RenderedRays,
    RendererConfig,
    backdrop_colors,
    render_rays,
    render_sections,
)
from neus.rendering.sampling import Randomness
from neus.settings import one_of

# Kinds of surface: NeuS's network, or a hash grid with one small layer.
SURFACES = ("mlp", "hash")


@dataclass(frozen=True)
class ModelConfig:
    """Conf section `model`, one subsection for each part, with NeuS's names.

    Attributes:
        surface: `mlp` is built as `sdf_network` says, `hash` as `hash_sdf` says; the other section is without effect.
    """

    surface: str = one_of(SURFACES, default="mlp")
    nerf: NerfConfig = field(default_factory=NerfConfig)
    sdf_network: SdfNetworkConfig = field(default_factory=SdfNetworkConfig)
    hash_sdf: HashSdfConfig = field(default_factory=HashSdfConfig)
    variance_network: SharpnessConfig = field(default_factory=SharpnessConfig)
    rendering_network: ColorNetworkConfig = field(default_factory=ColorNetworkConfig)
    neus_renderer: RendererConfig = field(default_factory=RendererConfig)


class Model(nn.Module):
    """Signed distance, colour, background and sharpness of one scene.

    Attributes:
        config: how it is built.
        scene_to_world: (4, 4), from the scene frame of all queries to the data set's own unit; None if it is not known,
            as with published checkpoints.
        box: (2, 3), the corners of the object's box in the scene frame.
        background: (3,) RGB behind everything, used by `render` where no other is given; None is black.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # Order of construction is the order of the parameters in published optimiser states.
        self.nerf = Nerf(config.nerf)
        self.sdf_network = HashSdf(config.hash_sdf) if config.surface == "hash" else SdfNetwork(config.sdf_network)
        self.sharpness = Sharpness(config.variance_network)
        self.color_network = ColorNetwork(config.rendering_network)
        self.density = DENSITIES[config.neus_renderer.density]()
        self.scene_to_world: Tensor | None = None
        self.box = torch.tensor([[-1.01] * 3, [1.01] * 3], dtype=torch.float64)
        self.background: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.sharpness.variance.device

    def fields(self) -> Fields:
        """The model as the renderer sees it."""
        background = self.nerf if self.config.neus_renderer.n_outside > 0 else None
        return Fields(self.sdf_network, self.color_network, background, self.density, self.sharpness())

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distance at points (..., 3), scene frame and units, negative inside."""
        return self.sdf_network.sdf(points)

    def gradient(self, points: Tensor) -> Tensor:
        """(..., 3) gradient of the signed distance at points (..., 3)."""
        return self.sdf_network.evaluate(points).gradients

    def surface_color(self, points: Tensor, normals: Tensor) -> Tensor:
        """(..., 3) RGB of points (..., 3) looked at against their unit normals (..., 3)."""
        surface = self.sdf_network.evaluate(points)
        return self.color_network(points, surface.gradients, -normals, surface.features)

    def render(
        self,
        origins: Tensor,
        directions: Tensor,
        background: Tensor | None = None,
        perturb: bool = False,
        cos_anneal: float | Tensor = 1.0,
        generator: Randomness | None = None,
        forward: Tensor | None = None,
    ) -> RenderedRays:
        """Volume rendering of rays (N, 3), (N, 3); arguments and result as in `render_rays`."""
        if background is None:
            background = self.background
        if background is not None:
            background = background.to(origins)
        return render_rays(
            self.fields(),
            origins,
            directions,
            self.config.neus_renderer,
            background,
            perturb,
            cos_anneal,
            generator,
            forward,
        )

    def render_sections(
        self,
        origins: Tensor,
        directions: Tensor,
        edges: Tensor,
        cos_anneal: float | Tensor = 1.0,
        negligible: float = 0.0,
        generator: Randomness | None = None,
    ) -> RenderedRays:
        """Volume rendering of rays already cut into sections; arguments and result as in `render_sections`."""
        backdrop = self.backdrop(origins, directions, generator)
        return render_sections(self.fields(), origins, directions, edges, backdrop, cos_anneal, negligible)

    def backdrop(self, origins: Tensor, directions: Tensor, generator: Randomness | None = None) -> Tensor | None:
        """(3,) or (N, 3) RGB behind the unit sphere: of the background network, else the model's constant; None is black."""
        if self.config.neus_renderer.n_outside > 0:
            return backdrop_colors(self.nerf, origins, directions, self.config.neus_renderer, generator)
        return None if self.background is None else self.background.to(origins)

    def set_active_levels(self, n_levels: int) -> None:
        """Coarse to fine: of a hash surface only the coarsest `n_levels` take part; other surfaces have no levels."""
        if self.config.surface == "hash":
            self.sdf_network.set_active_levels(n_levels)

    @property
    def active_levels(self) -> int:
        """How many levels of a hash surface take part; 0 of other surfaces."""
        return int(self.sdf_network.grid.n_active) if self.config.surface == "hash" else 0

    def parameter_list(self) -> list[nn.Parameter]:
        """All parameters in the order of published optimiser states: background, distance, sharpness, colour."""
        return [
            p for part in (self.nerf, self.sdf_network, self.sharpness, self.color_network) for p in part.parameters()
        ]


def in_chunks(function: Callable[..., Tensor], chunk: int) -> Callable[..., Tensor]:
    """The same function of tensors (M, ...), evaluated without gradient, `chunk` rows at a time."""

    @torch.no_grad()
    def chunked(*tensors: Tensor) -> Tensor:
        parts = [function(*part) for part in zip(*(t.split(chunk) for t in tensors))]
        return torch.cat(parts) if parts else function(*tensors)

    return chunked
