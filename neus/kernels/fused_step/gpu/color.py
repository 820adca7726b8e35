"""The colour network for blocks of those samples that are visible, and its backward pass; see `color` for the same on a CPU.

Seen samples are listed one after another, and how many there are is known to the GPU alone: programs beyond the last one end at once.
"""

import triton
import triton.language as tl

from neus.kernels.fused_step.gpu.hash_lookup import gather, product, scatter

_COUNTS = ["n_samples", "n_intervals", "n_features", "n_channels", "mask"]
# Columns of the first layer: point, normal, features of the distance, features of the colour grid.
_OF_NORMAL, _OF_FEATURES = tl.constexpr(3), tl.constexpr(6)
# The last layer has three channels and one of padding; products want at least sixteen columns.
_CHANNELS = tl.constexpr(16)


@triton.jit
def column_of(weights, h, width, column, H: tl.constexpr):
    """One column of the first layer (1, HP)."""
    return tl.load(weights + h * width + column, mask=h < H, other=0.0)[None, :]


@triton.jit
def columns_of(weights, h, width, start, c, n, H: tl.constexpr):
    """Columns start + c of the first layer for c < n, (HP, len(c))."""
    at = weights + h[:, None] * width + start + c[None, :]
    return tl.load(at, mask=(h < H)[:, None] & (c < n)[None, :], other=0.0)


@triton.jit(do_not_specialize=_COUNTS)
def color_forward(
    points, normals, out, visible, n_visible, table, resolutions, offsets, is_dense, color_bias, first, hidden, hidden_b,
    last, last_b, activations, rgb, mask, width, n_samples, n_intervals, n_features, n_channels,
    F: tl.constexpr, CP: tl.constexpr, G: tl.constexpr, GP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr,
    N_HIDDEN: tl.constexpr, HAS_GRID: tl.constexpr, KEEP: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills rgb (3, M) of a block of visible samples; with KEEP also activations (N_HIDDEN + 1, M, H), in the order of `visible`."""
    count, start = tl.load(n_visible), tl.program_id(0) * BLOCK
    if start < count:
        m = start + tl.arange(0, BLOCK)
        here = m < count
        i = tl.load(visible + m, mask=here, other=0).to(tl.int64)
        h, g = tl.arange(0, HP), tl.arange(0, GP)
        is_unit = here[:, None] & (h < H)[None, :]
        x, y = tl.load(points + i, mask=here, other=0.0), tl.load(points + n_samples + i, mask=here, other=0.0)
        z = tl.load(points + 2 * n_samples + i, mask=here, other=0.0)
        a = tl.load(color_bias + (i // n_intervals)[:, None] * H + h[None, :], mask=is_unit, other=0.0)
        a += x[:, None] * column_of(first, h, width, 0, H)
        a += y[:, None] * column_of(first, h, width, 1, H)
        a += z[:, None] * column_of(first, h, width, 2, H)
        for axis in tl.static_range(3):
            along = tl.load(normals + axis * n_samples + i, mask=here, other=0.0)
            a += along[:, None] * column_of(first, h, width, _OF_NORMAL + axis, H)
        is_feature = here[:, None] & (g < n_features)[None, :]
        features = tl.load(out + i[:, None] * G + 1 + g[None, :], mask=is_feature, other=0.0)
        a += product(features, tl.trans(columns_of(first, h, width, _OF_FEATURES, g, n_features, H)), PRECISION)
        if HAS_GRID:
            c = tl.arange(0, CP)
            encoded, _, _, _ = gather(
                table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels, F, CP, False
            )
            of_grid = columns_of(first, h, width, _OF_FEATURES + n_features, c, n_channels, H)
            a += product(encoded, tl.trans(of_grid), PRECISION)
        a = tl.where(a < 0.0, 0.0, a)
        at = activations + m.to(tl.int64)[:, None] * H + h[None, :]
        if KEEP:
            tl.store(at, a, mask=is_unit)
        is_weight = (h < H)[:, None] & (h < H)[None, :]
        for layer in tl.static_range(N_HIDDEN):
            across = tl.load(hidden + layer * H * H + h[None, :] * H + h[:, None], mask=is_weight, other=0.0)
            a = product(a, across, PRECISION) + tl.load(hidden_b + layer * H + h, mask=h < H, other=0.0)[None, :]
            a = tl.where(a < 0.0, 0.0, a)
            if KEEP:
                at += n_samples.to(tl.int64) * H
                tl.store(at, a, mask=is_unit)
        k = tl.arange(0, _CHANNELS)
        to_rgb = tl.load(last + k[None, :] * H + h[:, None], mask=(k < 3)[None, :] & (h < H)[:, None], other=0.0)
        color = product(a, to_rgb, PRECISION) + tl.load(last_b + k, mask=k < 3, other=0.0)[None, :]
        color = 1.0 / (1.0 + tl.exp(-color))
        tl.store(rgb + k[None, :] * n_samples + i[:, None], color, mask=here[:, None] & (k < 3)[None, :])


@triton.jit(do_not_specialize=[*_COUNTS, "n_partial_sums"])
def color_backward(
    points, normals, out, visible, n_visible, table, resolutions, offsets, is_dense, first, hidden, last, activations,
    grad_rgb, grad_out, grad_normals, grad_bias, grad_table, grad_first, grad_hidden, grad_hidden_b, grad_last,
    grad_last_b, mask, width, n_samples, n_intervals, n_features, n_channels, n_partial_sums, partial_sum_stride,
    F: tl.constexpr, CP: tl.constexpr, G: tl.constexpr, GP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr,
    N_HIDDEN: tl.constexpr, HAS_GRID: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """From grad_rgb (3, M), before the sigmoid, to grad_out and grad_normals, the layers by lanes, bias and colour grid."""
    count, start = tl.load(n_visible), tl.program_id(0) * BLOCK
    if start < count:
        partial_sum = (tl.program_id(0) % n_partial_sums).to(tl.int64) * partial_sum_stride
        m = start + tl.arange(0, BLOCK)
        here = m < count
        i = tl.load(visible + m, mask=here, other=0).to(tl.int64)
        h, g, k = tl.arange(0, HP), tl.arange(0, GP), tl.arange(0, _CHANNELS)
        is_unit, is_weight = here[:, None] & (h < H)[None, :], (h < H)[:, None] & (h < H)[None, :]
        at_rgb = grad_rgb + k[None, :] * n_samples + i[:, None]
        by_rgb = tl.load(at_rgb, mask=here[:, None] & (k < 3)[None, :], other=0.0)
        at = activations + m.to(tl.int64)[:, None] * H + h[None, :] + n_samples.to(tl.int64) * H * N_HIDDEN
        above = tl.load(at, mask=is_unit, other=0.0)
        is_last = (k < 3)[:, None] & (h < H)[None, :]
        of_last = product(tl.trans(by_rgb), above, PRECISION)
        tl.atomic_add(grad_last + partial_sum + k[:, None] * H + h[None, :], of_last, mask=is_last, sem="relaxed")
        tl.atomic_add(grad_last_b + partial_sum + k, tl.sum(by_rgb, 0), mask=k < 3, sem="relaxed")
        to_rgb = tl.load(last + k[:, None] * H + h[None, :], mask=is_last, other=0.0)
        grads = tl.where(above > 0.0, product(by_rgb, to_rgb, PRECISION), 0.0)
        for passed in tl.static_range(N_HIDDEN):
            layer = N_HIDDEN - 1 - passed
            at -= n_samples.to(tl.int64) * H
            below = tl.load(at, mask=is_unit, other=0.0)
            at_weights = layer * H * H + h[:, None] * H + h[None, :]
            of_layer = product(tl.trans(grads), below, PRECISION)
            tl.atomic_add(grad_hidden + partial_sum + at_weights, of_layer, mask=is_weight, sem="relaxed")
            tl.atomic_add(grad_hidden_b + partial_sum + layer * H + h, tl.sum(grads, 0), mask=h < H, sem="relaxed")
            across = tl.load(hidden + at_weights, mask=is_weight, other=0.0)
            grads = tl.where(below > 0.0, product(grads, across, PRECISION), 0.0)
        tl.atomic_add(grad_bias + (i // n_intervals)[:, None] * H + h[None, :], grads, mask=is_unit, sem="relaxed")

        at_first = grad_first + partial_sum + h * width
        for axis in tl.static_range(3):
            point = tl.load(points + axis * n_samples + i, mask=here, other=0.0)
            tl.atomic_add(at_first + axis, tl.sum(grads * point[:, None], 0), mask=h < H, sem="relaxed")
            normal = tl.load(normals + axis * n_samples + i, mask=here, other=0.0)
            of_normal = tl.sum(grads * normal[:, None], 0)
            tl.atomic_add(at_first + _OF_NORMAL + axis, of_normal, mask=h < H, sem="relaxed")
            # Each sample is visible once: no other program adds to its gradient.
            at_normal = grad_normals + axis * n_samples + i
            pull = tl.sum(grads * column_of(first, h, width, _OF_NORMAL + axis, H), 1)
            tl.store(at_normal, tl.load(at_normal, mask=here, other=0.0) + pull, mask=here)
        is_feature = here[:, None] & (g < n_features)[None, :]
        features = tl.load(out + i[:, None] * G + 1 + g[None, :], mask=is_feature, other=0.0)
        of_features = product(tl.trans(grads), features, PRECISION)
        is_there = (h < H)[:, None] & (g < n_features)[None, :]
        tl.atomic_add(at_first[:, None] + _OF_FEATURES + g[None, :], of_features, mask=is_there, sem="relaxed")
        by_features = product(grads, columns_of(first, h, width, _OF_FEATURES, g, n_features, H), PRECISION)
        tl.store(grad_out + i[:, None] * G + 1 + g[None, :], by_features, mask=is_feature)
        if HAS_GRID:
            c = tl.arange(0, CP)
            x, y = tl.load(points + i, mask=here, other=0.0), tl.load(points + n_samples + i, mask=here, other=0.0)
            z = tl.load(points + 2 * n_samples + i, mask=here, other=0.0)
            encoded, _, _, _ = gather(
                table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels, F, CP, False
            )
            at_grid = at_first[:, None] + _OF_FEATURES + n_features + c[None, :]
            of_grid = product(tl.trans(grads), encoded, PRECISION)
            is_there = (h < H)[:, None] & (c < n_channels)[None, :]
            tl.atomic_add(at_grid, of_grid, mask=is_there, sem="relaxed")
            columns = columns_of(first, h, width, _OF_FEATURES + n_features, c, n_channels, H)
            by_encoded = product(grads, columns, PRECISION)
            scatter(
                grad_table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels,
                by_encoded, by_encoded, x, y, z, F, CP, False,
            )  # fmt: skip
