"""Alphas, weights, pixels and losses of blocks of rays, and the backward pass; the formulas are those of `cpu.rays`.

Rays go along their intervals side by side, each in its own element of a block.
"""

import triton
import triton.language as tl

from neus.kernels.fused_step.arguments import (
    SUM_COLOR,
    SUM_EIKONAL,
    SUM_MASK,
    SUM_SHARPNESS,
    SUM_SQUARE,
    StepConstants,
)
from neus.kernels.logistic.gpu import alpha, alpha_vjp, color_slope, phi

_COUNTS = ["n_rays", "n_intervals"]
# Indices of the numbers of `StepConstants`, which kernels read from the GPU's memory: some are computed there.
(
    _S,
    _COS_ANNEAL,
    _EPSILON,
    _FLOOR,
    _MARGIN,
    _HUBER,
    _WEIGHT_THRESHOLD,
    _LONGEST,
    _BY_COLOR,
    _BY_EIKONAL,
    _BY_MASK,
) = (tl.constexpr(place) for place in range(StepConstants._fields.index("curvature")))
# Keeps the mean distance of a ray that meets nothing at zero.
_TINY_OPACITY = tl.constexpr(1e-6)
_COLOR, _SQUARE, _EIKONAL = tl.constexpr(SUM_COLOR), tl.constexpr(SUM_SQUARE), tl.constexpr(SUM_EIKONAL)
_MASK, _SHARPNESS = tl.constexpr(SUM_MASK), tl.constexpr(SUM_SHARPNESS)


@triton.jit(do_not_specialize=[*_COUNTS, "n"])
def sample_points(origins, directions, edges, points, n_intervals, n, BLOCK: tl.constexpr):
    """Fills points (3, M), the middles of intervals."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < n
    ray = i // n_intervals
    start = tl.load(edges + i + ray, mask=here, other=0.0)  # a ray has one edge more than intervals
    t = start + (tl.load(edges + i + ray + 1, mask=here, other=0.0) - start) * 0.5
    for axis in tl.static_range(3):
        origin = tl.load(origins + ray * 3 + axis, mask=here, other=0.0)
        tl.store(
            points + axis * n + i, origin + t * tl.load(directions + ray * 3 + axis, mask=here, other=0.0), mask=here
        )


@triton.jit
def _three(values, ray, here):
    """The rays' own (N, 3) numbers."""
    at = values + ray * 3
    return (
        tl.load(at, mask=here, other=0.0),
        tl.load(at + 1, mask=here, other=0.0),
        tl.load(at + 2, mask=here, other=0.0),
    )


@triton.jit
def _channels(values, i, n_samples, here):
    """The samples' three channels out of (3, M)."""
    return (
        tl.load(values + i, mask=here, other=0.0),
        tl.load(values + n_samples + i, mask=here, other=0.0),
        tl.load(values + 2 * n_samples + i, mask=here, other=0.0),
    )


@triton.jit
def _ends(sdf, cosine, delta, sharpness, cos_anneal):
    """Sigmoids at both ends of intervals, and how much the distance drops to either end from the middle (NeuS eq. 13)."""
    early, late = tl.maximum(0.5 - 0.5 * cosine, 0.0), tl.maximum(-cosine, 0.0)
    drop = (early * (1.0 - cos_anneal) + late * cos_anneal) * delta * 0.5
    return phi((sdf + drop) * sharpness), phi((sdf - drop) * sharpness), drop


@triton.jit(do_not_specialize=_COUNTS)
def compute_weights(
    directions, edges, masks, sdf, normals, alphas, transmittance, is_visible, scales, n_rays, n_intervals, BLOCK: tl.constexpr
):
    """Fills alphas, transmittance and is_visible, whose colour is evaluated, (M,) each (NeuS eq. 11, 13)."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, n_samples = ray < n_rays, n_rays.to(tl.int64) * n_intervals
    dx, dy, dz = _three(directions, ray, here)
    in_mask = tl.load(masks + ray, mask=here, other=0.0) > 0.0
    sharpness, cos_anneal = tl.load(scales + _S), tl.load(scales + _COS_ANNEAL)
    epsilon, floor, weight_threshold = tl.load(scales + _EPSILON), tl.load(scales + _FLOOR), tl.load(scales + _WEIGHT_THRESHOLD)
    longest = tl.load(scales + _LONGEST)
    light = tl.full([BLOCK], 1.0, tl.float32)
    end = tl.load(edges + ray * (n_intervals + 1), mask=here, other=0.0)
    for interval in range(n_intervals):
        i, start = ray * n_intervals + interval, end
        end = tl.load(edges + ray * (n_intervals + 1) + interval + 1, mask=here, other=0.0)
        nx, ny, nz = _channels(normals, i, n_samples, here)
        cosine = dx * nx + dy * ny + dz * nz
        distance, delta = tl.load(sdf + i, mask=here, other=0.0), tl.minimum(end - start, longest)
        at_start, at_end, _ = _ends(distance, cosine, delta, sharpness, cos_anneal)
        opacity = alpha(at_start, at_end, epsilon)
        tl.store(alphas + i, opacity, mask=here)
        tl.store(transmittance + i, light, mask=here)
        tl.store(is_visible + i, ((opacity * light > weight_threshold) & in_mask).to(tl.int32), mask=here)
        light = light * (1.0 - opacity + floor)


@triton.jit(do_not_specialize=["n"])
def list_visible(is_visible, ends, visible, n, BLOCK: tl.constexpr):
    """Fills visible with the indices of visible samples, in order; `ends` (M,) is the running sum of is_visible."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = tl.load(is_visible + i, mask=i < n, other=0) > 0
    tl.store(visible + tl.load(ends + i, mask=here, other=1) - 1, i, mask=here)


@triton.jit(do_not_specialize=_COUNTS)
def composite(
    edges, background, normals, alphas, transmittance, is_visible, rgb, out_rgb, out_opacity, out_t, out_normals, out_top,
    mean_rgb, n_rays, n_intervals, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills the rays' pixels. Unseen samples count with the mean colour of the visible ones, mean_rgb (3, N)."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, n_samples = ray < n_rays, n_rays.to(tl.int64) * n_intervals
    red = tl.zeros([BLOCK], tl.float32)
    green, blue, of_visible, opacity, t, nx, ny, nz, top = red, red, red, red, red, red, red, red, red
    end = tl.load(edges + ray * (n_intervals + 1), mask=here, other=0.0)
    for interval in range(n_intervals):
        i, start = ray * n_intervals + interval, end
        end = tl.load(edges + ray * (n_intervals + 1) + interval + 1, mask=here, other=0.0)
        w = tl.load(alphas + i, mask=here, other=0.0) * tl.load(transmittance + i, mask=here, other=0.0)
        opacity += w
        t += w * (start + (end - start) * 0.5)
        x, y, z = _channels(normals, i, n_samples, here)
        nx += w * x
        ny += w * y
        nz += w * z
        top = tl.maximum(top, w)
        is_asked = here & (tl.load(is_visible + i, mask=here, other=0) > 0)
        r, g, b = _channels(rgb, i, n_samples, is_asked)
        of_visible += tl.where(is_asked, w, 0.0)
        red += w * r
        green += w * g
        blue += w * b
    fraction = tl.where(of_visible > 0.0, of_visible, 1.0)
    red, green, blue = red / fraction, green / fraction, blue / fraction
    tl.store(mean_rgb + ray, red, mask=here)
    tl.store(mean_rgb + n_rays + ray, green, mask=here)
    tl.store(mean_rgb + 2 * n_rays + ray, blue, mask=here)
    behind_r, behind_g, behind_b = _three(background, ray, here)
    tl.store(out_rgb + ray * 3, opacity * red + (1.0 - opacity) * behind_r, mask=here)
    tl.store(out_rgb + ray * 3 + 1, opacity * green + (1.0 - opacity) * behind_g, mask=here)
    tl.store(out_rgb + ray * 3 + 2, opacity * blue + (1.0 - opacity) * behind_b, mask=here)
    tl.store(out_opacity + ray, opacity, mask=here)
    tl.store(out_top + ray, top, mask=here)
    tl.store(out_t + ray, t / tl.maximum(opacity, _TINY_OPACITY), mask=here)
    tl.store(out_normals + ray * 3, nx, mask=here)
    tl.store(out_normals + ray * 3 + 1, ny, mask=here)
    tl.store(out_normals + ray * 3 + 2, nz, mask=here)


@triton.jit
def _huber(error, width):
    """Value and slope of a square up to `width`, then of an absolute difference."""
    size = tl.abs(error)
    value = tl.where(size >= width, size - 0.5 * width, 0.5 * error * error / width)
    sign = tl.where(error > 0.0, 1.0, tl.where(error < 0.0, -1.0, 0.0))
    return value, tl.where(size < width, error / width, tl.where(error == error, sign, error))


@triton.jit(do_not_specialize=_COUNTS)
def loss_and_gradient(
    directions, edges, colors, masks, background, sdf, normals, alphas, transmittance, is_visible, rgb, mean_rgb,
    drawn_rgb, opacities, sums, grad_background, grad_rgb, grad_out, grad_normals, scales,
    n_rays, n_intervals, G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Losses of a block of rays, sums (5, N) of each, and their derivatives in distances, raw normals and colours before sigmoids.

    From the last interval to the first, so that what lies behind is known where it is needed. Rays with a mask below zero lose
    nothing.
    """
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, n_samples = ray < n_rays, n_rays.to(tl.int64) * n_intervals
    mask, opacity = tl.load(masks + ray, mask=here, other=0.0), tl.load(opacities + ray, mask=here, other=0.0)
    takes_part = mask >= 0.0
    sharpness, cos_anneal = tl.load(scales + _S), tl.load(scales + _COS_ANNEAL)
    longest = tl.load(scales + _LONGEST)
    epsilon, floor, margin = tl.load(scales + _EPSILON), tl.load(scales + _FLOOR), tl.load(scales + _MARGIN)
    huber = tl.load(scales + _HUBER)
    by_color, by_mask = tl.load(scales + _BY_COLOR), tl.load(scales + _BY_MASK)
    by_eikonal = tl.load(scales + _BY_EIKONAL)
    dx, dy, dz = _three(directions, ray, here)
    drawn_r, drawn_g, drawn_b = _three(drawn_rgb, ray, here)
    true_r, true_g, true_b = _three(colors, ray, here)
    in_mask = mask > 0.0
    e0, e1, e2 = drawn_r - true_r, drawn_g - true_g, drawn_b - true_b
    l0, s0 = _huber(e0, huber)
    l1, s1 = _huber(e1, huber)
    l2, s2 = _huber(e2, huber)
    tl.store(sums + _SQUARE * n_rays + ray, tl.where(in_mask, mask * (e0 * e0 + e1 * e1 + e2 * e2), 0.0), mask=here)
    tl.store(sums + _COLOR * n_rays + ray, tl.where(in_mask, mask * (l0 + l1 + l2), 0.0), mask=here)
    d0 = tl.where(in_mask, by_color * mask * s0, 0.0)
    d1 = tl.where(in_mask, by_color * mask * s1, 0.0)
    d2 = tl.where(in_mask, by_color * mask * s2, 0.0)

    kept = tl.where(opacity < margin, margin, tl.where(opacity > 1.0 - margin, 1.0 - margin, opacity))
    entropy = -(mask * tl.log(kept) + (1.0 - mask) * tl.log(1.0 - kept))
    has_masks = tl.where(takes_part, by_mask, 0.0) > 0.0
    tl.store(sums + _MASK * n_rays + ray, tl.where(has_masks, entropy, 0.0), mask=here)
    is_kept = (opacity >= margin) & (opacity <= 1.0 - margin)
    by_opacity = tl.where(is_kept & has_masks, by_mask * (kept - mask) / (kept * (1.0 - kept)), 0.0)

    behind_r, behind_g, behind_b = _three(background, ray, here)
    clear = 1.0 - opacity
    tl.store(grad_background + ray * 3, d0 * clear, mask=here)
    tl.store(grad_background + ray * 3 + 1, d1 * clear, mask=here)
    tl.store(grad_background + ray * 3 + 2, d2 * clear, mask=here)
    unmasked = by_opacity - (d0 * behind_r + d1 * behind_g + d2 * behind_b)
    mean_r, mean_g, mean_b = _channels(mean_rgb, ray, n_rays, here)
    mean = d0 * mean_r + d1 * mean_g + d2 * mean_b

    later = tl.zeros([BLOCK], tl.float32)
    of_eikonal, of_sharpness = later, later
    start = tl.load(edges + ray * (n_intervals + 1) + n_intervals, mask=here, other=0.0)
    for passed in range(n_intervals):
        interval, end = n_intervals - 1 - passed, start
        i = ray * n_intervals + interval
        start = tl.load(edges + ray * (n_intervals + 1) + interval, mask=here, other=0.0)
        part, light = tl.load(alphas + i, mask=here, other=0.0), tl.load(transmittance + i, mask=here, other=0.0)
        w = part * light
        is_asked = here & (tl.load(is_visible + i, mask=here, other=0) > 0)
        r, g, b = _channels(rgb, i, n_samples, is_asked)
        by_weight = unmasked + tl.where(is_asked, d0 * r + d1 * g + d2 * b, mean)
        tl.store(grad_rgb + i, w * d0 * color_slope(r, d0), mask=is_asked)
        tl.store(grad_rgb + n_samples + i, w * d1 * color_slope(g, d1), mask=is_asked)
        tl.store(grad_rgb + 2 * n_samples + i, w * d2 * color_slope(b, d2), mask=is_asked)
        by_alpha = light * by_weight - later / (1.0 - part + floor)
        later += w * by_weight

        nx, ny, nz = _channels(normals, i, n_samples, here)
        cosine, distance = dx * nx + dy * ny + dz * nz, tl.load(sdf + i, mask=here, other=0.0)
        delta = tl.minimum(end - start, longest)
        at_start, at_end, drop = _ends(distance, cosine, delta, sharpness, cos_anneal)
        by_start, by_end = alpha_vjp(at_start, at_end, epsilon, by_alpha)
        of_sharpness += by_start * (distance + drop) + by_end * (distance - drop)
        by_distance = (by_start + by_end) * sharpness
        slope = tl.where(cosine < 1.0, -0.5 * (1.0 - cos_anneal), 0.0) + tl.where(cosine < 0.0, -cos_anneal, 0.0)
        along = (by_start - by_end) * sharpness * slope * delta * 0.5

        length = tl.sqrt(nx * nx + ny * ny + nz * nz)
        of_eikonal += tl.where(takes_part, (length - 1.0) * (length - 1.0), 0.0)
        has_length = takes_part & (length != 0.0)
        outward = tl.where(has_length, by_eikonal * 2.0 * (length - 1.0) / tl.where(has_length, length, 1.0), 0.0)
        tl.store(grad_out + i * G, by_distance, mask=here)
        tl.store(grad_normals + i, along * dx + outward * nx, mask=here)
        tl.store(grad_normals + n_samples + i, along * dy + outward * ny, mask=here)
        tl.store(grad_normals + 2 * n_samples + i, along * dz + outward * nz, mask=here)
    tl.store(sums + _EIKONAL * n_rays + ray, of_eikonal, mask=here)
    tl.store(sums + _SHARPNESS * n_rays + ray, of_sharpness, mask=here)
