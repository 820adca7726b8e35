"""Alphas, weights, pixels and losses of a tile's rays, and the backward pass to signed distances and normals."""

import math

import numpy as np

from neus.kernels.fused_step.arguments import (
    SUM_COLOR,
    SUM_EIKONAL,
    SUM_MASK,
    SUM_SHARPNESS,
    SUM_SQUARE,
    Pixels,
    Rays,
    StepConstants,
)
from neus.kernels.fused_step.cpu.matmul import HALF, ONE, TWO, ZERO, compiled
from neus.kernels.fused_step.cpu.tile import Tile
from neus.kernels.logistic.cpu import alpha, alpha_vjp, color_slope, phi

# Keeps the mean distance of a ray that meets nothing at zero.
TINY_OPACITY = np.float32(1e-6)


@compiled
def sample_points(rays: Rays, scales: StepConstants, tile: Tile, first_ray: int, n_rays: int) -> None:
    """Fills the tile's points, the middles of intervals, and the lengths that those count for."""
    n_intervals = rays.edges.shape[1] - 1
    for r in range(n_rays):
        ray = first_ray + r
        for k in range(n_intervals):
            i = r * n_intervals + k
            start, end = rays.edges[ray, k], rays.edges[ray, k + 1]
            tile.deltas[i] = min(end - start, scales.longest)
            t = start + (end - start) * HALF
            tile.t[i] = t
            for axis in range(3):
                tile.inputs[axis, i] = rays.origins[ray, axis] + t * rays.directions[ray, axis]


@compiled
def compute_weights(rays: Rays, scales: StepConstants, tile: Tile, first_ray: int, n_rays: int) -> int:
    """Fills alphas, transmittance and weights (NeuS eq. 11, 13), and lists the samples whose colour is evaluated."""
    n_intervals, n_visible = rays.edges.shape[1] - 1, 0
    for r in range(n_rays):
        ray = first_ray + r
        dx, dy, dz = rays.directions[ray, 0], rays.directions[ray, 1], rays.directions[ray, 2]
        transmittance = ONE
        for k in range(n_intervals):
            i = r * n_intervals + k
            cosine = dx * tile.normals[0, i] + dy * tile.normals[1, i] + dz * tile.normals[2, i]
            early, late = max(HALF - HALF * cosine, ZERO), max(-cosine, ZERO)
            drop = (early * (ONE - scales.cos_anneal) + late * scales.cos_anneal) * tile.deltas[i] * HALF
            tile.cosines[i], tile.drops[i] = cosine, drop
            at_start = phi((tile.out[0, i] + drop) * scales.sharpness)
            at_end = phi((tile.out[0, i] - drop) * scales.sharpness)
            tile.at_start[i], tile.at_end[i] = at_start, at_end
            opacity = alpha(at_start, at_end, scales.epsilon)
            weight = transmittance * opacity
            tile.alphas[i], tile.transmittance[i], tile.weights[i] = opacity, transmittance, weight
            tile.place[i] = -1
            if weight > scales.weight_threshold and rays.masks[ray] > ZERO:
                tile.place[i], tile.visible[n_visible] = n_visible, i
                n_visible += 1
            transmittance *= ONE - opacity + scales.transmittance_floor
    return n_visible


@compiled
def composite(rays: Rays, tile: Tile, first_ray: int, n_rays: int, pixels: Pixels) -> None:
    """Fills the rays' pixels. weight < threshold: counts with the mean colour of the others, which has no gradient from it."""
    n_intervals = rays.edges.shape[1] - 1
    for r in range(n_rays):
        ray = first_ray + r
        red = green = blue = visible = opacity = t = nx = ny = nz = top = ZERO
        for k in range(n_intervals):
            i = r * n_intervals + k
            w, m = tile.weights[i], tile.place[i]
            opacity += w
            t += w * tile.t[i]
            nx += w * tile.normals[0, i]
            ny += w * tile.normals[1, i]
            nz += w * tile.normals[2, i]
            top = max(top, w)
            if m >= 0:
                visible += w
                red += w * tile.rgb[0, m]
                green += w * tile.rgb[1, m]
                blue += w * tile.rgb[2, m]
        if visible > ZERO:
            red, green, blue = red / visible, green / visible, blue / visible
        tile.mean_rgb[0, r], tile.mean_rgb[1, r], tile.mean_rgb[2, r] = red, green, blue
        for channel in range(3):
            pixels.rgb[ray, channel] = (
                opacity * tile.mean_rgb[channel, r] + (ONE - opacity) * rays.background[ray, channel]
            )
        pixels.opacity[ray], pixels.weight_max[ray] = opacity, top
        pixels.t[ray] = t / max(opacity, TINY_OPACITY)
        pixels.normals[ray, 0], pixels.normals[ray, 1], pixels.normals[ray, 2] = nx, ny, nz


@compiled
def _error_slopes(rays, scales, ray, rgb, sums):
    """Derivative of the colour term in the three channels of a ray's colour; adds to the sums."""
    mask = rays.masks[ray]
    slopes = (ZERO, ZERO, ZERO)
    if mask > ZERO:
        e0, e1, e2 = rgb[0] - rays.colors[ray, 0], rgb[1] - rays.colors[ray, 1], rgb[2] - rays.colors[ray, 2]
        sums[SUM_SQUARE] += mask * (e0 * e0 + e1 * e1 + e2 * e2)
        sums[SUM_COLOR] += mask * (_huber(e0, scales.huber) + _huber(e1, scales.huber) + _huber(e2, scales.huber))
        scale = scales.color * mask
        slopes = (
            scale * _huber_slope(e0, scales.huber),
            scale * _huber_slope(e1, scales.huber),
            scale * _huber_slope(e2, scales.huber),
        )
    return slopes


@compiled
def _huber(error, width):
    size = abs(error)
    return size - HALF * width if size >= width else HALF * error * error / width


@compiled
def _huber_slope(error, width):
    if abs(error) < width:
        return error / width
    return ONE if error > ZERO else (-ONE if error < ZERO else ZERO)


@compiled
def _silhouette_slope(opacity, mask, scales, sums):
    """Derivative of the cross entropy in a ray's opacity; adds to the sums."""
    low, high = scales.opacity_margin, ONE - scales.opacity_margin
    kept = min(max(opacity, low), high)
    sums[SUM_MASK] -= mask * math.log(kept) + (ONE - mask) * math.log(ONE - kept)
    if opacity < low or opacity > high:
        return ZERO
    return scales.mask * (kept - mask) / (kept * (ONE - kept))


@compiled
def loss_and_gradient(rays: Rays, scales: StepConstants, tile: Tile, first_ray: int, n_rays: int, pixels: Pixels, sums: np.ndarray) -> None:
    """The loss of each ray, and its derivatives in colours, signed distances and normals: grad_rgb, grad_out[0], grad_normals."""
    n_intervals = rays.edges.shape[1] - 1
    for r in range(n_rays):
        ray = first_ray + r
        d0, d1, d2 = _error_slopes(rays, scales, ray, pixels.rgb[ray], sums)
        by_opacity = ZERO
        if scales.mask > ZERO:
            by_opacity = _silhouette_slope(pixels.opacity[ray], rays.masks[ray], scales, sums)
        clear = ONE - pixels.opacity[ray]
        pixels.grad_background[ray, 0], pixels.grad_background[ray, 1] = d0 * clear, d1 * clear
        pixels.grad_background[ray, 2] = d2 * clear
        behind = d0 * rays.background[ray, 0] + d1 * rays.background[ray, 1] + d2 * rays.background[ray, 2]
        mean = d0 * tile.mean_rgb[0, r] + d1 * tile.mean_rgb[1, r] + d2 * tile.mean_rgb[2, r]
        later = ZERO
        for k in range(n_intervals - 1, -1, -1):
            i = r * n_intervals + k
            w, m = tile.weights[i], tile.place[i]
            by_weight = by_opacity - behind
            if m >= 0:
                red, green, blue = tile.rgb[0, m], tile.rgb[1, m], tile.rgb[2, m]
                by_weight += d0 * red + d1 * green + d2 * blue
                tile.grad_rgb[0, m] = w * d0 * color_slope(red, d0)
                tile.grad_rgb[1, m] = w * d1 * color_slope(green, d1)
                tile.grad_rgb[2, m] = w * d2 * color_slope(blue, d2)
            else:
                by_weight += mean
            tile.grad_alphas[i] = tile.transmittance[i] * by_weight - later / (
                ONE - tile.alphas[i] + scales.transmittance_floor
            )
            later += w * by_weight
    _alpha_gradients(rays, scales, tile, first_ray, n_rays, sums)
    _eikonal_gradients(scales, tile, n_rays * n_intervals, sums)


@compiled
def _alpha_gradients(rays: Rays, scales: StepConstants, tile: Tile, first_ray: int, n_rays: int, sums: np.ndarray) -> None:
    """From the derivatives in the alphas to those in distances, normals and the sharpness."""
    n_intervals, by_sharpness = rays.edges.shape[1] - 1, ZERO
    for r in range(n_rays):
        ray = first_ray + r
        dx, dy, dz = rays.directions[ray, 0], rays.directions[ray, 1], rays.directions[ray, 2]
        for k in range(n_intervals):
            i = r * n_intervals + k
            by_start, by_end = alpha_vjp(tile.at_start[i], tile.at_end[i], scales.epsilon, tile.grad_alphas[i])
            if by_start == ZERO and by_end == ZERO:
                continue
            sdf, drop, cosine = tile.out[0, i], tile.drops[i], tile.cosines[i]
            by_sharpness += by_start * (sdf + drop) + by_end * (sdf - drop)
            tile.grad_out[0, i] += (by_start + by_end) * scales.sharpness
            slope = ZERO
            if cosine < ONE:
                slope -= HALF * (ONE - scales.cos_anneal)
            if cosine < ZERO:
                slope -= scales.cos_anneal
            along = (by_start - by_end) * scales.sharpness * slope * tile.deltas[i] * HALF
            tile.grad_normals[0, i] += along * dx
            tile.grad_normals[1, i] += along * dy
            tile.grad_normals[2, i] += along * dz
    sums[SUM_SHARPNESS] += by_sharpness


@compiled
def _eikonal_gradients(scales: StepConstants, tile: Tile, n: int, sums: np.ndarray) -> None:
    """(|normal| - 1)^2 of every sample: NeuS eq. 17's second term."""
    x, y, z = tile.normals[0], tile.normals[1], tile.normals[2]
    by_x, by_y, by_z = tile.grad_normals[0], tile.grad_normals[1], tile.grad_normals[2]
    total, scale = ZERO, TWO * scales.eikonal
    for i in range(n):
        length = math.sqrt(x[i] * x[i] + y[i] * y[i] + z[i] * z[i])
        total += (length - ONE) * (length - ONE)
        outward = scale * (length - ONE) / length if length > ZERO else ZERO
        by_x[i] += outward * x[i]
        by_y[i] += outward * y[i]
        by_z[i] += outward * z[i]
    sums[SUM_EIKONAL] += total
