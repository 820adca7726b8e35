"""A hash model as the fused kernels see it: its weights padded and transposed, once per step.

Kernels for a CPU take numpy arrays, which use the memory of tensors; those for a GPU take the tensors.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from neus.fields.encoding import encode_frequencies, frequency_width
from neus.fields.hash_grid import HashGrid
from neus.fields.hash_sdf import SQUAREPLUS_B
from neus.kernels.async_copy import to_device_async
from neus.kernels.dispatch import fast_kernels
from neus.kernels.fused_step.arguments import ColorWeights, Gradients, Grid, Rays, StepConstants, SurfaceWeights
from neus.kernels.hash_encode.layout import GridLayout
from neus.rendering.density import PUBLISHED_EPSILON
from neus.rendering.interval_ends import max_linear_extent
from neus.rendering.model import Model
from neus.rendering.weights import TRANSMITTANCE_FLOOR, WEIGHT_THRESHOLD

# Products run over so many channels at a time; others are filled up with zeros.
WIDTH = 4
N_COORDINATES = 3
Named = TypeVar("Named", bound=tuple)
# Devices that the fused step is written for.
DEVICES = ("cpu", "cuda")


def why_not_fused(model: Model) -> str:
    """What keeps a model from the fused step, for a message; empty if nothing does."""
    config = model.config
    color = config.rendering_network
    if config.surface != "hash":
        return f"model.surface is {config.surface}"
    if model.device.type not in DEVICES:
        return f"the model is on {model.device}"
    if config.neus_renderer.density != "logistic":
        return f"model.neus_renderer.density is {config.neus_renderer.density}"
    if color.mode != "idr" or color.weight_norm or not color.squeeze_out or color.d_out != 3 or color.n_layers < 1:
        return "model.rendering_network is not idr with plain weights, three channels and squeeze_out"
    if config.hash_sdf.n_features != color.d_feature:
        return "model.rendering_network takes other features than the surface gives"
    return ""


def fused_kernels(model: Model) -> ModuleType:
    """The fused step for a model's device; there is one where `why_not_fused` is empty and `runs_compiled` says so."""
    kernels = fast_kernels("fused_step", model.device)
    assert kernels is not None
    return kernels


def takes_tensors(kernels: ModuleType) -> bool:
    """Whether kernels are those of a GPU; others take arrays."""
    return kernels.__name__.endswith(".gpu")


def handed_to(kernels: ModuleType, tensors: Named) -> Named:
    """Named tensors as kernels take them: arrays on the same memory for those of a CPU."""
    if takes_tensors(kernels):
        return tensors
    return type(tensors)(*(value.numpy() if isinstance(value, Tensor) else value for value in tensors))


@dataclass(frozen=True)
class FusedModel:
    """The numbers of a model, for kernels; the table is shared with the model, all else copied."""

    grid: Grid
    color_grid: Grid
    surface: SurfaceWeights
    color: ColorWeights

    @classmethod
    def of(cls, model: Model) -> "FusedModel":
        """The model as it is now."""
        surface, kernels = model.sdf_network, fused_kernels(model)
        parts = _grid(surface.grid), _grid(surface.color_grid, model.device), _surface(model), _color(model)
        return cls(*(handed_to(kernels, part) for part in parts))


def color_bias(model: Model, directions: Tensor) -> Tensor:
    """(N, H') what the first colour layer makes of viewing directions (N, 3), its bias included; differentiable."""
    layer = model.color_network.lin0
    codes = encode_frequencies(directions, model.config.rendering_network.multires_view)
    bias = torch.addmm(layer.bias, codes, layer.weight[:, _view_columns(model)].t()).to(codes.dtype)
    return torch.nn.functional.pad(bias, (0, _up(bias.shape[1]) - bias.shape[1]))


def put_gradients(model: Model, gradients: Gradients) -> None:
    """Sets `grad` of the layers; in the first colour layer, whose columns for the view have theirs already, adds to it."""
    surface, n_in = (
        model.sdf_network,
        3 + model.sdf_network.grid.config.n_features * int(model.sdf_network.grid.n_active),
    )
    w1 = torch.zeros_like(surface.hidden.weight)
    w1[:, :n_in] = _cropped(gradients.w1, (len(w1), n_in))
    surface.hidden.weight.grad = w1
    first, *hidden, last = _color_layers(model)
    pairs = [
        (surface.hidden.bias, gradients.b1),
        (surface.out.weight, gradients.w2),
        (surface.out.bias, gradients.b2),
        (last.weight, gradients.last),
        (last.bias, gradients.last_b),
    ]
    for i, layer in enumerate(hidden):
        pairs += [(layer.weight, gradients.hidden[i]), (layer.bias, gradients.hidden_b[i])]
    for parameter, gradient in pairs:
        parameter.grad = _cropped(gradient, parameter.shape).clone()
    given, columns = torch.as_tensor(gradients.first), _view_columns(model)
    n_samples = first.in_features - (columns.stop - columns.start)
    first.weight.grad[:, : columns.start] += given[: first.out_features, : columns.start]
    first.weight.grad[:, columns.stop :] += given[: first.out_features, columns.start : n_samples]


def _grid(grid: HashGrid | None, device: torch.device | None = None) -> Grid:
    """The active levels; none, on a device, for no grid."""
    if grid is None:
        nothing = torch.zeros(1, 1, device=device)
        return Grid(nothing, *_levels(GridLayout((), (0,), (), 1), 0, nothing.device), np.uint32(0))
    table = grid.table.detach()
    return Grid(table, *_levels(grid.layout, int(grid.n_active), table.device), np.uint32(grid.layout.hash_size - 1))


@functools.lru_cache(maxsize=32)
def _levels(layout: GridLayout, n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Resolution, first row, and whether it is dense, of the first n levels."""
    return (
        torch.tensor(layout.resolutions[:n], dtype=torch.int64, device=device),
        torch.tensor(layout.offsets[:n], dtype=torch.int64, device=device),
        torch.tensor(layout.is_dense[:n], dtype=torch.bool, device=device),
    )


def _surface(model: Model) -> SurfaceWeights:
    surface = model.sdf_network
    n_in = 3 + surface.grid.config.n_features * int(surface.grid.n_active)
    w1, w2 = _padded(surface.hidden.weight[:, :n_in]), _padded(surface.out.weight)
    b1, b2 = _padded(surface.hidden.bias), _padded(surface.out.bias)
    return SurfaceWeights(
        w1, b1, w2, b2, _transposed(w1), _transposed(w2), np.float32(SQUAREPLUS_B), surface.config.d_out - 1
    )


def _color(model: Model) -> ColorWeights:
    first, *hidden, last = _color_layers(model)
    columns = _view_columns(model)
    of_samples = torch.cat([first.weight[:, : columns.start], first.weight[:, columns.stop :]], dim=1)
    w_first, w_last = _padded(of_samples), _padded(last.weight)
    width = len(w_first)
    w_hidden, b_hidden = w_first.new_zeros(len(hidden), width, width), w_first.new_zeros(len(hidden), width)
    for i, layer in enumerate(hidden):
        w_hidden[i], b_hidden[i] = _padded(layer.weight), _padded(layer.bias)
    return ColorWeights(
        w_first,
        w_hidden,
        b_hidden,
        w_last,
        _padded(last.bias),
        _transposed(w_first),
        w_hidden.transpose(1, 2).contiguous(),
        _transposed(w_last),
    )


def _color_layers(model: Model) -> list[nn.Linear]:
    return [getattr(model.color_network, f"lin{i}") for i in range(model.color_network.n_linear)]


def _view_columns(model: Model) -> slice:
    """Columns of the first colour layer for the viewing direction; those before and after belong to point, normal and features."""
    return slice(N_COORDINATES, N_COORDINATES + frequency_width(3, model.config.rendering_network.multires_view))


def _up(width: int) -> int:
    return -(-width // WIDTH) * WIDTH


def _padded(parameter: Tensor) -> Tensor:
    """A contiguous copy with every axis filled up with zeros to a multiple of `WIDTH`."""
    padded = torch.zeros([_up(n) for n in parameter.shape], device=parameter.device)
    padded[tuple(slice(n) for n in parameter.shape)] = parameter.detach()
    return padded


def _transposed(matrix: Tensor) -> Tensor:
    return matrix.t().contiguous()


def _cropped(gradient: np.ndarray | Tensor, shape: Sequence[int]) -> Tensor:
    return torch.as_tensor(gradient)[tuple(slice(n) for n in shape)]


class _Points(NamedTuple):
    points: Tensor


@torch.no_grad()
def fused_sdf(model: Model, points: Tensor, packed: FusedModel | None = None) -> Tensor:
    """(M,) signed distances at points (M, 3), by the fused kernel; of a model that does not change, `view` saves time."""
    kernels = fused_kernels(model)
    grid, surface = (
        (packed.grid, packed.surface)
        if packed
        else (handed_to(kernels, part) for part in (_grid(model.sdf_network.grid), _surface(model)))
    )
    (given,) = handed_to(kernels, _Points(points.detach().to(model.device, torch.float32).contiguous()))
    return torch.as_tensor(kernels.distances(grid, surface, given)).to(points.device)


@torch.no_grad()
def fused_pixels(
    model: Model,
    packed: FusedModel,
    origins: Tensor,
    directions: Tensor,
    edges: Tensor,
    background: Tensor,
    weight_threshold: float = WEIGHT_THRESHOLD,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What rays cut into intervals see: rgb (N, 3), opacity (N,), mean t (N,), summed normals (N, 3).

    Args:
        model, packed: the model, and its arrays.
        origins, directions, edges, background: (N, 3), (N, 3), (N, K + 1), (N, 3).
        weight_threshold: intervals of a weight up to this have the mean colour of the others.
        bias: `color_bias` of the directions, if it is known.
    """
    kernels, n, new = fused_kernels(model), len(edges), edges.new_zeros
    bias = color_bias(model, directions) if bias is None else bias
    truth = new(n, 3), new(n) + 1.0
    tensors = (origins, directions, edges, *truth, bias, background, new(0, 3))
    rays = handed_to(kernels, Rays(*(tensor.contiguous() for tensor in tensors)))
    scales = scales_of(kernels, model.sharpness(), cos_anneal=1.0, weight_threshold=weight_threshold)
    pixels = kernels.render(packed.grid, packed.color_grid, packed.surface, packed.color, rays, scales)
    return tuple(torch.as_tensor(x) for x in (pixels.rgb, pixels.opacity, pixels.t, pixels.normals))


def scales_of(kernels: ModuleType, sharpness: Tensor, **numbers: float | Tensor) -> StepConstants | Tensor:
    """Numbers of a step in the kernel's order and precision: `StepConstants` for a CPU, (16,) float32 on the device for a GPU.

    Tensors () are on the model's device, which is not waited for. Terms that are not given are zero.
    """
    known = dict.fromkeys(StepConstants._fields, 0.0) | {
        "sharpness": sharpness,
        "epsilon": PUBLISHED_EPSILON,
        "transmittance_floor": TRANSMITTANCE_FLOOR,
        "weight_threshold": WEIGHT_THRESHOLD,
        "longest": max_linear_extent(sharpness),
    }
    given = [(known | numbers)[name] for name in StepConstants._fields]
    constants = _on_device(tuple(0.0 if isinstance(x, Tensor) else x for x in given), sharpness.device)
    pairs = zip(given, constants, strict=True)
    found = torch.stack([x.detach().double() if isinstance(x, Tensor) else constant for x, constant in pairs]).float()
    return found if takes_tensors(kernels) else StepConstants(*found.numpy())


@functools.lru_cache(maxsize=32)
def _on_device(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    return to_device_async(torch.tensor(numbers, dtype=torch.float64), device)
