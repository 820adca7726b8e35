"""The signed distance layers for a block of samples; the formulas are those of `surface`, which is the same for a CPU."""

import triton
import triton.language as tl

from neus.kernels.fused_step.gpu.hash_lookup import gather, product, scatter

_COUNTS = ["stride_axis", "stride_point", "n", "n_channels", "mask"]


@triton.jit
def _hidden(
    x, y, z, features, w1, b1, w2, squareplus_b, d_in, n_channels,
    H: tl.constexpr, HP: tl.constexpr, CP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What both directions need: hidden units, their slopes, bends (BLOCK, HP), first row of W2, and W1 in its parts."""
    h, c = tl.arange(0, HP), tl.arange(0, CP)
    is_unit = h < H
    of_x = tl.load(w1 + h * d_in, mask=is_unit, other=0.0)[None, :]
    of_y = tl.load(w1 + h * d_in + 1, mask=is_unit, other=0.0)[None, :]
    of_z = tl.load(w1 + h * d_in + 2, mask=is_unit, other=0.0)[None, :]
    at = w1 + h[:, None] * d_in + 3 + c[None, :]
    of_channels = tl.load(at, mask=is_unit[:, None] & (c < n_channels)[None, :], other=0.0)
    first_row = tl.load(w2 + h, mask=is_unit, other=0.0)[None, :]
    a = product(features, tl.trans(of_channels), PRECISION) + tl.load(b1 + h, mask=is_unit, other=0.0)[None, :]
    a += x[:, None] * of_x + y[:, None] * of_y + z[:, None] * of_z
    root = tl.sqrt(a * a + squareplus_b)
    bend = 0.5 * squareplus_b / (root * root * root)
    return 0.5 * (a + root), 0.5 * (1.0 + a / root), bend, first_row, of_x, of_y, of_z, of_channels


@triton.jit(do_not_specialize=_COUNTS)
def surface_forward(
    points, table, resolutions, offsets, is_dense, w1, b1, w2, b2, sdf, out, normals, squareplus_b, mask, d_in,
    n, n_channels, stride_axis, stride_point,
    F: tl.constexpr, CP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr, G: tl.constexpr, GP: tl.constexpr,
    PRECISION: tl.constexpr, DISTANCE_ALONE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills sdf (M,), and unless only that is requested out (M, G) and raw gradients normals (3, M)."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < n
    at = points + i * stride_point
    x, y = tl.load(at, mask=here, other=0.0), tl.load(at + stride_axis, mask=here, other=0.0)
    z = tl.load(at + 2 * stride_axis, mask=here, other=0.0)
    features, jx, jy, jz = gather(
        table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels, F, CP, not DISTANCE_ALONE
    )
    hidden, slope, _, first_row, of_x, of_y, of_z, of_channels = _hidden(
        x, y, z, features, w1, b1, w2, squareplus_b, d_in, n_channels, H, HP, CP, PRECISION
    )
    tl.store(sdf + i, tl.sum(hidden * first_row, 1) + tl.load(b2), mask=here)
    if not DISTANCE_ALONE:
        h, g = tl.arange(0, HP), tl.arange(0, GP)
        second = tl.load(w2 + g[None, :] * H + h[:, None], mask=(g < G)[None, :] & (h < H)[:, None], other=0.0)
        result = product(hidden, second, PRECISION) + tl.load(b2 + g, mask=g < G, other=0.0)[None, :]
        tl.store(out + i[:, None] * G + g[None, :], result, mask=here[:, None] & (g < G)[None, :])
        pulled = slope * first_row
        cotangents = product(pulled, of_channels, PRECISION)
        tl.store(normals + i, tl.sum(pulled * of_x, 1) + tl.sum(cotangents * jx, 1), mask=here)
        tl.store(normals + n + i, tl.sum(pulled * of_y, 1) + tl.sum(cotangents * jy, 1), mask=here)
        tl.store(normals + 2 * n + i, tl.sum(pulled * of_z, 1) + tl.sum(cotangents * jz, 1), mask=here)


@triton.jit(do_not_specialize=["n", "n_channels", "mask", "n_partial_sums"])
def surface_backward(
    points, table, resolutions, offsets, is_dense, w1, b1, w2, grad_out, grad_normals, grad_table,
    grad_w1, grad_b1, grad_w2, grad_b2, squareplus_b, mask, d_in, n, n_channels, n_partial_sums, partial_sum_stride,
    F: tl.constexpr, CP: tl.constexpr, H: tl.constexpr, HP: tl.constexpr, G: tl.constexpr, GP: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """From grad_out (M, G) and grad_normals (3, M) to the gradients of the layers, by lanes, and of the table."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    partial_sum = (tl.program_id(0) % n_partial_sums).to(tl.int64) * partial_sum_stride
    here = i < n
    x, y = tl.load(points + i, mask=here, other=0.0), tl.load(points + n + i, mask=here, other=0.0)
    z = tl.load(points + 2 * n + i, mask=here, other=0.0)
    features, jx, jy, jz = gather(table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels, F, CP, True)
    hidden, slope, bend, first_row, of_x, of_y, of_z, of_channels = _hidden(
        x, y, z, features, w1, b1, w2, squareplus_b, d_in, n_channels, H, HP, CP, PRECISION
    )
    dx, dy = tl.load(grad_normals + i, mask=here, other=0.0), tl.load(grad_normals + n + i, mask=here, other=0.0)
    dz = tl.load(grad_normals + 2 * n + i, mask=here, other=0.0)
    h, g, c = tl.arange(0, HP), tl.arange(0, GP), tl.arange(0, CP)
    is_unit, is_output, is_channel = h < H, g < G, c < n_channels
    at_out = grad_out + i[:, None] * G + g[None, :]
    grads = tl.load(at_out, mask=here[:, None] & is_output[None, :], other=0.0)
    second = tl.load(w2 + g[:, None] * H + h[None, :], mask=is_output[:, None] & is_unit[None, :], other=0.0)

    by_cotangent = jx * dx[:, None] + jy * dy[:, None] + jz * dz[:, None]
    by_pulled = product(by_cotangent, tl.trans(of_channels), PRECISION)
    by_pulled += dx[:, None] * of_x + dy[:, None] * of_y + dz[:, None] * of_z
    by_hidden = slope * product(grads, second, PRECISION) + bend * first_row * by_pulled
    pulled = slope * first_row

    # Padding beyond the last sample has hidden units but no gradient: it adds nothing.
    of_second = product(tl.trans(grads), hidden, PRECISION)
    of_second += tl.where(g[:, None] == 0, tl.sum(slope * by_pulled, 0)[None, :], 0.0)
    at = grad_w2 + partial_sum + g[:, None] * H + h[None, :]
    tl.atomic_add(at, of_second, mask=is_output[:, None] & is_unit[None, :], sem="relaxed")
    tl.atomic_add(grad_b2 + partial_sum + g, tl.sum(grads, 0), mask=is_output, sem="relaxed")
    of_first = product(tl.trans(pulled), by_cotangent, PRECISION) + product(tl.trans(by_hidden), features, PRECISION)
    at = grad_w1 + partial_sum + h * d_in
    at_channels = at[:, None] + 3 + c[None, :]
    tl.atomic_add(at_channels, of_first, mask=is_unit[:, None] & is_channel[None, :], sem="relaxed")
    to_x = tl.sum(pulled * dx[:, None] + by_hidden * x[:, None], 0)
    to_y = tl.sum(pulled * dy[:, None] + by_hidden * y[:, None], 0)
    to_z = tl.sum(pulled * dz[:, None] + by_hidden * z[:, None], 0)
    tl.atomic_add(at, to_x, mask=is_unit, sem="relaxed")
    tl.atomic_add(at + 1, to_y, mask=is_unit, sem="relaxed")
    tl.atomic_add(at + 2, to_z, mask=is_unit, sem="relaxed")
    tl.atomic_add(grad_b1 + partial_sum + h, tl.sum(by_hidden, 0), mask=is_unit, sem="relaxed")
    scatter(
        grad_table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels,
        product(by_hidden, of_channels, PRECISION), product(pulled, of_channels, PRECISION), dx, dy, dz, F, CP, True,
    )  # fmt: skip
