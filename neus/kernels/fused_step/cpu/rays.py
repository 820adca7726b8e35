"""Alphas, weights, pixels and losses of a tile's rays, and the way back to signed distances and normals."""

import math

import numpy as np

from neus.kernels.fused_step.arguments import (
    SUM_ANCHOR,
    SUM_COLOR,
    SUM_EIKONAL,
    SUM_MASK,
    SUM_SHARPNESS,
    SUM_SQUARE,
    Pixels,
    Rays,
    Scales,
)
from neus.kernels.fused_step.cpu.products import HALF, ONE, TWO, ZERO, compiled
from neus.kernels.fused_step.cpu.tile import Tile
from neus.kernels.logistic.cpu import alpha, alpha_vjp, phi
from neus.kernels.trilinear.cpu import trilinear

# Keeps the mean distance of a ray that meets nothing at zero.
TINY_OPACITY = np.float32(1e-6)


@compiled
def place_samples(rays: Rays, scales: Scales, tile: Tile, first_ray: int, n_rays: int) -> None:
    """Fills the tile's points, the middles of sections, and the lengths that those count for."""
    n_sections = rays.edges.shape[1] - 1
    for r in range(n_rays):
        ray = first_ray + r
        for k in range(n_sections):
            i = r * n_sections + k
            start, end = rays.edges[ray, k], rays.edges[ray, k + 1]
            tile.deltas[i] = min(end - start, scales.longest)
            t = start + (end - start) * HALF
            tile.t[i] = t
            for axis in range(3):
                tile.inputs[axis, i] = rays.origins[ray, axis] + t * rays.directions[ray, axis]


@compiled
def weigh(rays: Rays, scales: Scales, tile: Tile, first_ray: int, n_rays: int) -> int:
    """Fills alphas, transmittance and weights (NeuS eq. 11, 13), and lists the samples whose colour is asked for."""
    n_sections, n_seen = rays.edges.shape[1] - 1, 0
    for r in range(n_rays):
        ray = first_ray + r
        dx, dy, dz = rays.directions[ray, 0], rays.directions[ray, 1], rays.directions[ray, 2]
        passing = ONE
        for k in range(n_sections):
            i = r * n_sections + k
            cosine = dx * tile.normals[0, i] + dy * tile.normals[1, i] + dz * tile.normals[2, i]
            early, late = max(HALF - HALF * cosine, ZERO), max(-cosine, ZERO)
            drop = (early * (ONE - scales.cos_anneal) + late * scales.cos_anneal) * tile.deltas[i] * HALF
            tile.cosines[i], tile.drops[i] = cosine, drop
            at_start = phi((tile.out[0, i] + drop) * scales.sharpness)
            at_end = phi((tile.out[0, i] - drop) * scales.sharpness)
            tile.at_start[i], tile.at_end[i] = at_start, at_end
            opacity = alpha(at_start, at_end, scales.epsilon)
            weight = passing * opacity
            tile.alphas[i], tile.passing[i], tile.weights[i] = opacity, passing, weight
            tile.place[i] = -1
            if weight > scales.negligible and rays.masks[ray] > ZERO:
                tile.place[i], tile.seen[n_seen] = n_seen, i
                n_seen += 1
            passing *= ONE - opacity + scales.transmittance_floor
    return n_seen


@compiled
def draw(rays: Rays, tile: Tile, first_ray: int, n_rays: int, pixels: Pixels) -> None:
    """Fills the rays' pixels. Unseen samples count with the mean colour of the seen ones, which they do not pull at."""
    n_sections = rays.edges.shape[1] - 1
    for r in range(n_rays):
        ray = first_ray + r
        red = green = blue = seen = opacity = t = nx = ny = nz = top = ZERO
        for k in range(n_sections):
            i = r * n_sections + k
            w, m = tile.weights[i], tile.place[i]
            opacity += w
            t += w * tile.t[i]
            nx += w * tile.normals[0, i]
            ny += w * tile.normals[1, i]
            nz += w * tile.normals[2, i]
            top = max(top, w)
            if m >= 0:
                seen += w
                red += w * tile.rgb[0, m]
                green += w * tile.rgb[1, m]
                blue += w * tile.rgb[2, m]
        if seen > ZERO:
            red, green, blue = red / seen, green / seen, blue / seen
        tile.mean_rgb[0, r], tile.mean_rgb[1, r], tile.mean_rgb[2, r] = red, green, blue
        for channel in range(3):
            pixels.rgb[ray, channel] = (
                opacity * tile.mean_rgb[channel, r] + (ONE - opacity) * rays.backdrop[ray, channel]
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
def lose(rays: Rays, scales: Scales, tile: Tile, first_ray: int, n_rays: int, pixels: Pixels, sums: np.ndarray) -> None:
    """The loss of each ray, and its derivatives in colours, signed distances and normals: grad_rgb, grad_out[0], grad_normals."""
    n_sections = rays.edges.shape[1] - 1
    for r in range(n_rays):
        ray = first_ray + r
        d0, d1, d2 = _error_slopes(rays, scales, ray, pixels.rgb[ray], sums)
        by_opacity = ZERO
        if scales.mask > ZERO:
            by_opacity = _silhouette_slope(pixels.opacity[ray], rays.masks[ray], scales, sums)
        clear = ONE - pixels.opacity[ray]
        pixels.grad_backdrop[ray, 0], pixels.grad_backdrop[ray, 1] = d0 * clear, d1 * clear
        pixels.grad_backdrop[ray, 2] = d2 * clear
        behind = d0 * rays.backdrop[ray, 0] + d1 * rays.backdrop[ray, 1] + d2 * rays.backdrop[ray, 2]
        mean = d0 * tile.mean_rgb[0, r] + d1 * tile.mean_rgb[1, r] + d2 * tile.mean_rgb[2, r]
        later = ZERO
        for k in range(n_sections - 1, -1, -1):
            i = r * n_sections + k
            w, m = tile.weights[i], tile.place[i]
            by_weight = by_opacity - behind
            if m >= 0:
                red, green, blue = tile.rgb[0, m], tile.rgb[1, m], tile.rgb[2, m]
                by_weight += d0 * red + d1 * green + d2 * blue
                tile.grad_rgb[0, m] = w * d0 * red * (ONE - red)
                tile.grad_rgb[1, m] = w * d1 * green * (ONE - green)
                tile.grad_rgb[2, m] = w * d2 * blue * (ONE - blue)
            else:
                by_weight += mean
            tile.grad_alphas[i] = tile.passing[i] * by_weight - later / (
                ONE - tile.alphas[i] + scales.transmittance_floor
            )
            later += w * by_weight
    _lose_alphas(rays, scales, tile, first_ray, n_rays, sums)
    _lose_eikonal(scales, tile, n_rays * n_sections, sums)
    if scales.anchor > ZERO:
        _lose_anchor(rays.anchor, scales, tile, n_rays * n_sections, sums)


@compiled
def _lose_alphas(rays: Rays, scales: Scales, tile: Tile, first_ray: int, n_rays: int, sums: np.ndarray) -> None:
    """From the derivatives in the alphas to those in distances, normals and the sharpness."""
    n_sections, by_sharpness = rays.edges.shape[1] - 1, ZERO
    for r in range(n_rays):
        ray = first_ray + r
        dx, dy, dz = rays.directions[ray, 0], rays.directions[ray, 1], rays.directions[ray, 2]
        for k in range(n_sections):
            i = r * n_sections + k
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
def _lose_eikonal(scales: Scales, tile: Tile, n: int, sums: np.ndarray) -> None:
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


@compiled
def _lose_anchor(anchor: np.ndarray, scales: Scales, tile: Tile, n: int, sums: np.ndarray) -> None:
    """Departure from the first shape, where that is known."""
    x, y, z, sdf, by_sdf = tile.inputs[0], tile.inputs[1], tile.inputs[2], tile.out[0], tile.grad_out[0]
    for i in range(n):
        apart = sdf[i] - trilinear(anchor, x[i], y[i], z[i])
        if not math.isnan(apart):
            sums[SUM_ANCHOR] += _huber(apart, scales.anchor_width)
            by_sdf[i] += scales.anchor * _huber_slope(apart, scales.anchor_width)
