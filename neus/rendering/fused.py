"""A hash model as the fused kernels see it: its weights padded and transposed, once per step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neus.fields.encoding import encode_frequencies, frequency_width
from neus.fields.hash_grid import HashGrid
from neus.fields.hash_sdf import SQUAREPLUS_B
from neus.kernels.dispatch import compiled
from neus.kernels.fused_step.arguments import ColorWeights, Gradients, Grid, Rays, Scales, SurfaceWeights
from neus.rendering.density import PUBLISHED_EPSILON
from neus.rendering.model import Model
from neus.rendering.weights import NEGLIGIBLE_WEIGHT, TRANSMITTANCE_FLOOR

# Products run over so many channels at a time; others are filled up with zeros.
WIDTH = 4
N_COORDINATES = 3


def why_not_fused(model: Model) -> str:
    """What keeps a model from the fused step, for a message; empty if nothing does."""
    config = model.config
    color = config.rendering_network
    if config.surface != "hash":
        return f"model.surface is {config.surface}"
    if model.device.type != "cpu":
        return f"the model is on {model.device}"
    if config.neus_renderer.density != "logistic":
        return f"model.neus_renderer.density is {config.neus_renderer.density}"
    if color.mode != "idr" or color.weight_norm or not color.squeeze_out or color.d_out != 3 or color.n_layers < 1:
        return "model.rendering_network is not idr with plain weights, three channels and squeeze_out"
    if config.hash_sdf.n_features != color.d_feature:
        return "model.rendering_network takes other features than the surface gives"
    return ""


@dataclass(frozen=True)
class FusedModel:
    """The arrays of a model, for kernels; the table is shared with the model, all else copied."""

    grid: Grid
    color_grid: Grid
    surface: SurfaceWeights
    color: ColorWeights

    @classmethod
    def of(cls, model: Model) -> "FusedModel":
        """The model as it is now."""
        surface = model.sdf_network
        return cls(_grid(surface.grid), _grid(surface.color_grid), _surface(model), _color(model))


def color_bias(model: Model, directions: Tensor) -> Tensor:
    """(N, H') what the first colour layer makes of viewing directions (N, 3), its bias included; differentiable."""
    layer = model.color_network.lin0
    codes = encode_frequencies(directions, model.config.rendering_network.multires_view)
    bias = torch.addmm(layer.bias, codes, layer.weight[:, N_COORDINATES : N_COORDINATES + codes.shape[1]].t())
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
    columns = _sample_columns(model)
    first.weight.grad[:, columns] += _cropped(gradients.first, (first.out_features, len(columns)))


def _grid(grid: HashGrid | None) -> Grid:
    """The active levels; none for no grid."""
    if grid is None:
        return Grid(
            np.zeros((1, 1), np.float32), *(np.zeros(0, kind) for kind in (np.int64, np.int64, np.bool_)), np.uint32(0)
        )
    n, layout = int(grid.n_active), grid.layout
    return Grid(
        grid.table.detach().numpy(),
        np.asarray(layout.resolutions[:n], np.int64),
        np.asarray(layout.offsets[:n], np.int64),
        np.asarray(layout.is_dense[:n], np.bool_),
        np.uint32(layout.hash_size - 1),
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
    w_first, w_last = _padded(first.weight[:, _sample_columns(model)]), _padded(last.weight)
    width = len(w_first)
    w_hidden = np.zeros((len(hidden), width, width), np.float32)
    b_hidden = np.zeros((len(hidden), width), np.float32)
    for i, layer in enumerate(hidden):
        w_hidden[i], b_hidden[i] = _padded(layer.weight), _padded(layer.bias)
    return ColorWeights(
        w_first,
        w_hidden,
        b_hidden,
        w_last,
        _padded(last.bias),
        _transposed(w_first),
        np.ascontiguousarray(w_hidden.transpose(0, 2, 1)),
        _transposed(w_last),
    )


def _color_layers(model: Model) -> list[nn.Linear]:
    return [getattr(model.color_network, f"lin{i}") for i in range(model.color_network.n_linear)]


def _sample_columns(model: Model) -> list[int]:
    """Columns of the first colour layer for point, normal and features; those between belong to the viewing direction."""
    n_in = model.color_network.lin0.in_features
    n_views = frequency_width(3, model.config.rendering_network.multires_view)
    return [0, 1, 2, *range(3 + n_views, n_in)]


def _up(width: int) -> int:
    return -(-width // WIDTH) * WIDTH


def _padded(parameter: Tensor) -> np.ndarray:
    """A contiguous copy with every axis filled up with zeros to a multiple of `WIDTH`."""
    array = np.zeros([_up(n) for n in parameter.shape], np.float32)
    array[tuple(slice(n) for n in parameter.shape)] = parameter.detach().numpy()
    return array


def _transposed(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.T)


def _cropped(array: np.ndarray, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(array[tuple(slice(n) for n in shape)])


@torch.no_grad()
def fused_sdf(model: Model, points: Tensor, view: FusedModel | None = None) -> Tensor:
    """(M,) signed distances at points (M, 3), by the fused kernel; of a model that does not change, `view` saves time."""
    cpu = compiled("fused_step")
    grid, surface = (view.grid, view.surface) if view else (_grid(model.sdf_network.grid), _surface(model))
    return torch.from_numpy(cpu.distances(grid, surface, points.detach().float().contiguous().numpy()))


@torch.no_grad()
def fused_pixels(
    model: Model,
    view: FusedModel,
    origins: Tensor,
    directions: Tensor,
    edges: Tensor,
    backdrop: Tensor,
    negligible: float = NEGLIGIBLE_WEIGHT,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What rays cut into sections see: rgb (N, 3), opacity (N,), mean t (N,), summed normals (N, 3).

    Args:
        model, view: the model, and its arrays.
        origins, directions, edges, backdrop: (N, 3), (N, 3), (N, K + 1), (N, 3).
        negligible: sections of a weight up to this have the mean colour of the others.
        bias: `color_bias` of the directions, if it is known.
    """
    cpu = compiled("fused_step")

    n = len(edges)
    bias = color_bias(model, directions) if bias is None else bias
    tensors = (origins, directions, edges, torch.zeros(n, 3), torch.ones(n), bias, backdrop)
    arrays = [tensor.contiguous().numpy() for tensor in tensors]
    scales = scales_of(sharpness=float(model.sharpness().detach()), cos_anneal=1.0, negligible=negligible)
    no_anchor = np.zeros((2, 2, 2), np.float32)
    pixels = cpu.render(view.grid, view.color_grid, view.surface, view.color, Rays(*arrays, no_anchor), scales)
    return tuple(torch.from_numpy(x) for x in (pixels.rgb, pixels.opacity, pixels.t, pixels.normals))


def scales_of(sharpness: float, cos_anneal: float, **terms: float) -> Scales:
    """Numbers of a step in the kernel's order and precision; terms that are not given are zero."""
    numbers = dict.fromkeys(Scales._fields, 0.0) | {
        "sharpness": sharpness,
        "cos_anneal": cos_anneal,
        "epsilon": PUBLISHED_EPSILON,
        "transmittance_floor": TRANSMITTANCE_FLOOR,
        "negligible": NEGLIGIBLE_WEIGHT,
    }
    return Scales(**{name: np.float32(value) for name, value in (numbers | terms).items()})
