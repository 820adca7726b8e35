"""A whole NeuS model: its networks together, as one differentiable object to query and render."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from neus.errors import InputError
from neus.fields.background import Nerf, NerfConfig
from neus.fields.base import BackgroundField, ColorField, SurfaceField
from neus.fields.color_network import ColorNetwork, ColorNetworkConfig
from neus.fields.distance_correction import DistanceCorrection
from neus.fields.hash_background import HashBackground, HashBackgroundConfig
from neus.fields.hash_sdf import HashSdf, HashSdfConfig
from neus.fields.sdf_network import SdfNetwork, SdfNetworkConfig
from neus.fields.sharpness import Sharpness, SharpnessConfig
from neus.geometry.poses import invert
from neus.geometry.rays import intersect_sphere
from neus.geometry.similarity import scale_of, transform_points
from neus.rendering.behind import Behind, render_behind
from neus.rendering.density import DENSITIES
from neus.rendering.renderer import (
    Fields,
    RenderedRays,
    RendererConfig,
    render_rays,
)
from neus.rendering.sampling import Randomness
from neus.rendering.slope import slope_of
from neus.rendering.sphere_tracing import TraceResult, trace
from neus.settings import one_of

# Kinds of surface: NeuS's network, or a hash grid with one small layer.
SURFACES = ("mlp", "hash")
# Kinds of background: the NeRF of NeuS, or a hash grid.
BACKGROUNDS = ("nerf", "hash")


@dataclass(frozen=True)
class ModelConfig:
    """Config section `model`, one subsection for each part, with NeuS's names.

    Attributes:
        surface: `mlp` is built as `sdf_network` says, `hash` as `hash_sdf` says; the other section has no effect.
        background: `nerf` is built as `nerf` says, `hash` as `hash_background` says, likewise.
    """

    surface: str = one_of(SURFACES, default="mlp")
    background: str = one_of(BACKGROUNDS, default="nerf")
    nerf: NerfConfig = field(default_factory=NerfConfig)
    hash_background: HashBackgroundConfig = field(default_factory=HashBackgroundConfig)
    sdf_network: SdfNetworkConfig = field(default_factory=SdfNetworkConfig)
    hash_sdf: HashSdfConfig = field(default_factory=HashSdfConfig)
    variance_network: SharpnessConfig = field(default_factory=SharpnessConfig)
    rendering_network: ColorNetworkConfig = field(default_factory=ColorNetworkConfig)
    neus_renderer: RendererConfig = field(default_factory=RendererConfig)


class Model(nn.Module):
    """Signed distance, colour, background and sharpness of one scene.

    Parts that are not given are built by the config. Fields of one's own need no more than the protocols of `neus.fields.base`; those that
    are `nn.Module` are trained with the others.

    Attributes:
        config: how it is built.
        scene_to_world: (4, 4), from the scene frame to the data set's own unit; None if it is not known, as with published
            checkpoints.
        box: (2, 3), the corners of the object's box in the scene frame.
        background: (3,) RGB behind everything, used by `render` where no other is given; None is black.
        correction: what is added to the distances where they are meshed; None is nothing.
    """

    def __init__(
        self,
        config: ModelConfig | None = None,
        surface: SurfaceField | None = None,
        color: ColorField | None = None,
        background_field: BackgroundField | None = None,
        sharpness: float | None = None,
    ) -> None:
        super().__init__()
        config = config or ModelConfig()
        if surface is not None:
            # What is done for hash surfaces alone (levels, fused kernels) depends on the config.
            config = replace(config, surface="hash" if isinstance(surface, HashSdf) else "mlp")
        if sharpness is not None:
            config = replace(config, variance_network=SharpnessConfig(math.log(sharpness) / 10.0))
        self.config = config
        # Order of construction is the order of the parameters in published optimiser states.
        self.nerf = background_field or _background_of(config)
        self.sdf_network = surface or _surface_of(config)
        self.sharpness = Sharpness(config.variance_network)
        self.color_network = color or ColorNetwork(config.rendering_network)
        self.density = DENSITIES[config.neus_renderer.density]()
        self.scene_to_world: Tensor | None = None
        self.box = torch.tensor([[-1.01] * 3, [1.01] * 3], dtype=torch.float64)
        self.background: Tensor | None = None
        self.correction: DistanceCorrection | None = None

    @property
    def has_background(self) -> bool:
        """Whether a background network renders what lies beyond the unit sphere."""
        return self.config.neus_renderer.n_outside > 0

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.sharpness.variance.device

    def fields(self) -> Fields:
        """The model as the renderer sees it."""
        background = self.nerf if self.has_background else None
        return Fields(self.sdf_network, self.color_network, background, self.density, self.sharpness())

    def sdf(self, points: Tensor, frame: str = "scene") -> Tensor:
        """(...) signed distance at points (..., 3), negative inside; points and distances in the units of `frame`.

        Args:
            points: (..., 3).
            frame: `scene`, or `world` for the data set's own unit.

        Raises:
            InputError: another frame, or a model that does not know its world.
        """
        if frame == "scene":
            return self.sdf_network.sdf(points)
        return self.sdf_network.sdf(self._points_in_scene(points, frame)) * scale_of(self._world(frame))

    def gradient(self, points: Tensor, frame: str = "scene") -> Tensor:
        """(..., 3) gradient of the signed distance at points (..., 3); both in `frame`, as in `sdf`."""
        if frame == "scene":
            return self.sdf_network.evaluate(points).gradients
        gradients = self.sdf_network.evaluate(self._points_in_scene(points, frame)).gradients
        return gradients @ self._rotation(frame).to(gradients).T

    def color(self, points: Tensor, directions: Tensor, frame: str = "scene") -> Tensor:
        """(..., 3) RGB in [0, 1] of points (..., 3) seen along unit directions (..., 3); both in `frame`, as in `sdf`."""
        if frame != "scene":
            points = self._points_in_scene(points, frame)
            directions = (directions.to(points) @ self._rotation(frame).to(points)).expand_as(points)
        surface = self.sdf_network.evaluate(points)
        return self.color_network(points, surface.gradients, directions, surface.features)

    @torch.no_grad()
    def trace(self, origins: Tensor, directions: Tensor, frame: str = "scene", tolerance: float = 1e-4) -> TraceResult:
        """The first surface point along each ray within the unit sphere, by sphere tracing.

        Args:
            origins, directions: (N, 3), unit directions, in `frame` as in `sdf`.
            frame: of rays and results; `t`, `closest` and `sdf` are in its units.
            tolerance: distance that counts as touching, scene units.
        """
        is_scene, scale = frame == "scene", 1.0 if frame == "scene" else scale_of(self._world(frame))
        o = origins if is_scene else self._points_in_scene(origins, frame)
        d = directions if is_scene else directions.to(o) @ self._rotation(frame).to(o)
        enters, leaves, meets = intersect_sphere(o, d)
        far = torch.where(meets, leaves, enters - 1.0)  # an empty stretch is a miss
        found = trace(self.sdf, o, d, enters, far, tolerance, lipschitz=slope_of(self.fields()))
        return replace(found, t=found.t * scale, closest=found.closest * scale, sdf=found.sdf * scale)

    def known_world(self) -> Tensor:
        """(4, 4) `scene_to_world`, once it is known.

        Raises:
            InputError: it is None.
        """
        if self.scene_to_world is None:
            raise InputError("The model does not know its world, as published checkpoints; set model.scene_to_world.")
        return self.scene_to_world

    def _points_in_scene(self, points: Tensor, frame: str) -> Tensor:
        # World coordinates may be large numbers (metres of a map), of which float32 would keep too few digits.
        world_to_scene = invert(self._world(frame).double().cpu())
        return transform_points(world_to_scene, points.double().cpu()).to(self.device, torch.float32)

    def _rotation(self, frame: str) -> Tensor:
        matrix = self._world(frame)
        return matrix[:3, :3] / scale_of(matrix)

    def _world(self, frame: str) -> Tensor:
        if frame != "world":
            raise InputError(f"frame {frame!r}: expected scene or world.")
        return self.known_world()

    def surface_color(self, points: Tensor, normals: Tensor) -> Tensor:
        """(..., 3) RGB of points (..., 3) seen against their unit normals (..., 3)."""
        return self.color(points, -normals)

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

    def behind(self, origins: Tensor, directions: Tensor, generator: Randomness | None = None) -> Behind:
        """What rays (N, 3), (N, 3) see behind the unit sphere: see `render_behind`; the model's constant colour is behind everything."""
        config, fill = self.config.neus_renderer, None if self.background is None else self.background.to(origins)
        return render_behind(self.nerf if config.n_outside > 0 else None, origins, directions, config, fill, generator)

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
        parts = (self.nerf, self.sdf_network, self.sharpness, self.color_network)
        return [p for part in parts if isinstance(part, nn.Module) for p in part.parameters()]


def _background_of(config: ModelConfig) -> Nerf | HashBackground:
    return HashBackground(config.hash_background) if config.background == "hash" else Nerf(config.nerf)


def _surface_of(config: ModelConfig) -> SdfNetwork | HashSdf:
    return HashSdf(config.hash_sdf) if config.surface == "hash" else SdfNetwork(config.sdf_network)


def in_chunks(function: Callable[..., Tensor], chunk: int) -> Callable[..., Tensor]:
    """The same function of tensors (M, ...), evaluated without gradient, `chunk` rows at a time."""

    @torch.no_grad()
    def chunked(*tensors: Tensor) -> Tensor:
        parts = [function(*part) for part in zip(*(t.split(chunk) for t in tensors))]
        return torch.cat(parts) if parts else function(*tensors)

    return chunked
