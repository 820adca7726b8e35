"""A hash background on a GPU, by Triton: the signature of `cpu`, whose docstring holds here too.

Two kernels, each a block of samples from distances to its end; the one backwards computes again what the other knew. Gradients of
layers are added up by atomics in `N_PARTIAL_SUMS` sums, that of the table straight into it: last digits may differ from run to run.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.fused_step.gpu.color import column_of, columns_of
from neus.kernels.fused_step.gpu.hash_lookup import gather, product, scatter
from neus.kernels.fused_step.gpu.step import LEAST_SIDE, N_PARTIAL_SUMS, SAMPLES, WARPS
from neus.kernels.hash_background.arguments import LEAK, N_CONSTANTS, SOFTPLUS_LINEAR_FROM, Layers
from neus.kernels.hash_encode.gpu import level_tensors
from neus.kernels.hash_encode.layout import GridLayout
from neus.kernels.launch import blocks, launch, power_of_two
from neus.kernels.logistic.gpu import color_slope, less_than_one, phi

_COUNTS = ["mask", "n_samples", "n_intervals", "n_channels", "n_codes", "width", "width_2"]
_LEAK, _LINEAR_FROM = tl.constexpr(LEAK), tl.constexpr(SOFTPLUS_LINEAR_FROM)
# The last layer has three channels and one of padding; products want at least sixteen columns.
_CHANNELS, _SUMS = tl.constexpr(16), tl.constexpr(N_PARTIAL_SUMS)


def alphas_and_colors(
    origins: Tensor,
    directions: Tensor,
    t: Tensor,
    deltas: Tensor,
    codes: Tensor,
    table: Tensor,
    layout: GridLayout,
    n_active: int,
    layers: Layers,
) -> tuple[Tensor, Tensor]:
    """Opacities (N, B) and colours (N, B, 3) of intervals of rays; see `cpu.alphas_and_colors`."""
    return _AlphasAndColors.apply(layout, n_active, origins, directions, t, deltas, codes, table, *layers)


class _AlphasAndColors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: GridLayout, n_active: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        given = [tensor.detach().contiguous() for tensor in tensors]
        t = given[2]
        alphas, colors = torch.empty_like(t), t.new_empty(*t.shape, 3)
        ctx.sizes = _sizes(layout, n_active, given)
        ctx.save_for_backward(*given)
        launch(_forward, (blocks(t.numel(), SAMPLES),), *given, alphas, colors, *ctx.sizes[0], **ctx.sizes[1])
        return alphas, colors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        given, n = ctx.saved_tensors, ctx.saved_tensors[2].numel()
        cotangents, grad_table = [x.contiguous() for x in cotangents], torch.zeros_like(given[5])
        sums = [x.new_zeros(N_PARTIAL_SUMS, *x.shape) for x in given[6:]]
        launch(_backward, (blocks(n, SAMPLES),), *given, *cotangents, grad_table, *sums, *ctx.sizes[0], **ctx.sizes[1])
        return *[None] * N_CONSTANTS, grad_table, *(x.sum(0) for x in sums)


def _sizes(layout: GridLayout, n_active: int, given: list[Tensor]) -> tuple[tuple, dict[str, Any]]:
    """What both kernels receive of the grid, numbers, and numbers that they are compiled for."""
    t, codes, table, first, second = *(given[i] for i in (2, 4, 5, 6)), given[8]
    n_features, (n_hidden, width) = table.shape[1], first.shape
    n_channels, n_codes = min(n_active, layout.n_levels) * n_features, codes.shape[1]
    levels = level_tensors(layout, torch.float32, t.device)
    numbers = layout.hash_size - 1, t.numel(), t.shape[1], n_channels, n_codes, width, second.shape[1]
    widths = {"CP": n_channels, "HP": n_hidden, "EP": n_codes}
    constants: dict[str, Any] = {name: power_of_two(n, LEAST_SIDE) for name, n in widths.items()}
    constants |= {
        "F": n_features,
        "H": n_hidden,
        "PRECISION": _precision(t.device),
        "BLOCK": SAMPLES,
        "num_warps": WARPS,
    }
    return (*levels, *numbers), constants


def _precision(device: torch.device) -> str:
    """That of products, as `fields.precision.products_in` has set it."""
    if torch.is_autocast_enabled(device.type):
        return "bfloat16"
    return "tf32" if torch.get_float32_matmul_precision() == "high" else "ieee"


@triton.jit
def _leaky(a):
    return tl.where(a > 0.0, a, _LEAK * a)


@triton.jit
def _points(origins, directions, t, i, here, n_intervals):
    """Points of `contraction.contracted_ball`, three times (BLOCK,)."""
    ray, at = (i // n_intervals) * 3, tl.load(t + i, mask=here, other=0.0)
    x = tl.load(origins + ray, mask=here, other=0.0) + tl.load(directions + ray, mask=here, other=0.0) * at
    y = tl.load(origins + ray + 1, mask=here, other=0.0) + tl.load(directions + ray + 1, mask=here, other=0.0) * at
    z = tl.load(origins + ray + 2, mask=here, other=0.0) + tl.load(directions + ray + 2, mask=here, other=0.0) * at
    inverse = 1.0 / tl.maximum(tl.sqrt(x * x + y * y + z * z), 1.0)
    scale = (1.0 - 0.5 * inverse) * inverse
    return scale * x, scale * y, scale * z


@triton.jit
def _evaluate(
    origins, directions, t, codes, table, resolutions, offsets, is_dense, first, first_b, second, second_b, last, last_b,
    mask, i, here, n_intervals, n_channels, n_codes, width, width_2,
    F: tl.constexpr, CP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr, EP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Points, features (BLOCK, CP), codes (BLOCK, EP), units of both layers (BLOCK, HP), logits of density and colour."""
    x, y, z = _points(origins, directions, t, i, here, n_intervals)
    features, _, _, _ = gather(table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels, F, CP, False)
    h, c, e, k = tl.arange(0, HP), tl.arange(0, CP), tl.arange(0, EP), tl.arange(0, _CHANNELS)
    a = tl.load(first_b + h, mask=h < H, other=0.0)[None, :] + x[:, None] * column_of(first, h, width, 0, H)
    a += y[:, None] * column_of(first, h, width, 1, H) + z[:, None] * column_of(first, h, width, 2, H)
    a = _leaky(a + product(features, tl.trans(columns_of(first, h, width, 3, c, n_channels, H)), PRECISION))
    at_codes = codes + (i // n_intervals)[:, None] * n_codes + e[None, :]
    views = tl.load(at_codes, mask=here[:, None] & (e < n_codes)[None, :], other=0.0)
    b = tl.load(second_b + h, mask=h < H, other=0.0)[None, :]
    b += product(a, tl.trans(columns_of(second, h, width_2, 0, h, H, H)), PRECISION)
    b = _leaky(b + product(views, tl.trans(columns_of(second, h, width_2, H, e, n_codes, H)), PRECISION))
    to_density = tl.load(second + H * width_2 + h, mask=h < H, other=0.0)
    logit = tl.sum(a * to_density[None, :], 1) + tl.load(second_b + H)
    to_rgb = tl.load(last + k[None, :] * H + h[:, None], mask=(k < 3)[None, :] & (h < H)[:, None], other=0.0)
    color = phi(product(b, to_rgb, PRECISION) + tl.load(last_b + k, mask=k < 3, other=0.0)[None, :])
    return x, y, z, features, views, a, b, logit, color


@triton.jit
def _softplus(x):
    power = tl.exp(tl.minimum(x, _LINEAR_FROM))
    return tl.where(x > _LINEAR_FROM, x, tl.where(power < 1e-3, power * (1.0 - 0.5 * power), tl.log(1.0 + power)))


@triton.jit(do_not_specialize=_COUNTS)
def _forward(
    origins, directions, t, deltas, codes, table, first, first_b, second, second_b, last, last_b, alphas, colors,
    resolutions, offsets, is_dense, mask, n_samples, n_intervals, n_channels, n_codes, width, width_2,
    F: tl.constexpr, CP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr, EP: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills alphas (M,) and colors (M, 3) of a block of samples."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, k = i < n_samples, tl.arange(0, _CHANNELS)
    _, _, _, _, _, _, _, logit, color = _evaluate(
        origins, directions, t, codes, table, resolutions, offsets, is_dense, first, first_b, second, second_b, last, last_b,
        mask, i, here, n_intervals, n_channels, n_codes, width, width_2, F, CP, H, HP, EP, PRECISION,
    )  # fmt: skip
    tl.store(alphas + i, less_than_one(_softplus(logit) * tl.load(deltas + i, mask=here, other=0.0)), mask=here)
    tl.store(colors + i[:, None] * 3 + k[None, :], color, mask=here[:, None] & (k < 3)[None, :])


@triton.jit(do_not_specialize=_COUNTS)
def _backward(
    origins, directions, t, deltas, codes, table, first, first_b, second, second_b, last, last_b, grad_alphas, grad_colors,
    grad_table, sum_first, sum_first_b, sum_second, sum_second_b, sum_last, sum_last_b,
    resolutions, offsets, is_dense, mask, n_samples, n_intervals, n_channels, n_codes, width, width_2,
    F: tl.constexpr, CP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr, EP: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds the gradients of a block of samples to the table's, and to those of the layers in one of the partial sums."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, partial_sum = i < n_samples, tl.program_id(0).to(tl.int64) % _SUMS
    x, y, z, features, views, a, b, logit, color = _evaluate(
        origins, directions, t, codes, table, resolutions, offsets, is_dense, first, first_b, second, second_b, last, last_b,
        mask, i, here, n_intervals, n_channels, n_codes, width, width_2, F, CP, H, HP, EP, PRECISION,
    )  # fmt: skip
    h, c, e, k = tl.arange(0, HP), tl.arange(0, CP), tl.arange(0, EP), tl.arange(0, _CHANNELS)
    is_unit, is_last = h < H, (k < 3)[:, None] & (h < H)[None, :]
    by_rgb = tl.load(grad_colors + i[:, None] * 3 + k[None, :], mask=here[:, None] & (k < 3)[None, :], other=0.0)
    by_rgb *= color_slope(color, by_rgb)
    delta = tl.load(deltas + i, mask=here, other=0.0)
    by_logit = tl.load(grad_alphas + i, mask=here, other=0.0) * delta * tl.exp(-_softplus(logit) * delta)
    by_logit *= tl.where(logit > _LINEAR_FROM, 1.0, phi(logit))

    at_last, at_last_b = sum_last + partial_sum * H * 4, sum_last_b + partial_sum * 4
    of_last = product(tl.trans(by_rgb), b, PRECISION)
    tl.atomic_add(at_last + k[:, None] * H + h[None, :], of_last, mask=is_last, sem="relaxed")
    tl.atomic_add(at_last_b + k, tl.sum(by_rgb, 0), mask=k < 3, sem="relaxed")
    to_rgb = tl.load(last + k[:, None] * H + h[None, :], mask=is_last, other=0.0)
    by_b = product(by_rgb, to_rgb, PRECISION)
    by_b = tl.where(b > 0.0, by_b, _LEAK * by_b)

    at_second, at_second_b = sum_second + partial_sum * (H + 4) * width_2, sum_second_b + partial_sum * (H + 4)
    at_units, of_units = at_second + h[:, None] * width_2, product(tl.trans(by_b), a, PRECISION)
    tl.atomic_add(at_units + h[None, :], of_units, mask=is_unit[:, None] & is_unit[None, :], sem="relaxed")
    of_views, is_view = product(tl.trans(by_b), views, PRECISION), is_unit[:, None] & (e < n_codes)[None, :]
    tl.atomic_add(at_units + H + e[None, :], of_views, mask=is_view, sem="relaxed")
    tl.atomic_add(at_second + H * width_2 + h, tl.sum(by_logit[:, None] * a, 0), mask=is_unit, sem="relaxed")
    tl.atomic_add(at_second_b + h, tl.sum(by_b, 0), mask=is_unit, sem="relaxed")
    tl.atomic_add(at_second_b + H, tl.sum(by_logit, 0), sem="relaxed")
    to_density = tl.load(second + H * width_2 + h, mask=is_unit, other=0.0)
    by_a = (
        product(by_b, columns_of(second, h, width_2, 0, h, H, H), PRECISION) + by_logit[:, None] * to_density[None, :]
    )
    by_a = tl.where(a > 0.0, by_a, _LEAK * by_a)

    at_first, at_first_b = sum_first + partial_sum * H * width + h * width, sum_first_b + partial_sum * H
    tl.atomic_add(at_first, tl.sum(by_a * x[:, None], 0), mask=is_unit, sem="relaxed")
    tl.atomic_add(at_first + 1, tl.sum(by_a * y[:, None], 0), mask=is_unit, sem="relaxed")
    tl.atomic_add(at_first + 2, tl.sum(by_a * z[:, None], 0), mask=is_unit, sem="relaxed")
    of_features, is_channel = product(tl.trans(by_a), features, PRECISION), is_unit[:, None] & (c < n_channels)[None, :]
    tl.atomic_add(at_first[:, None] + 3 + c[None, :], of_features, mask=is_channel, sem="relaxed")
    tl.atomic_add(at_first_b + h, tl.sum(by_a, 0), mask=is_unit, sem="relaxed")
    by_features = product(by_a, columns_of(first, h, width, 3, c, n_channels, H), PRECISION)
    scatter(
        grad_table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels,
        by_features, by_features, x, y, z, F, CP, False,
    )  # fmt: skip
