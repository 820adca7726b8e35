"""What the fused step takes and gives, as named tuples that compiled code can read."""

from typing import NamedTuple

import numpy as np

from neus.kernels.hash_encode.layout import Grid


class SurfaceWeights(NamedTuple):
    """The layers over the grid: w1 (H, D), b1 (H,), w2 (G, H), b2 (G,), their transposes, and the b of squareplus.

    D and G are the true widths rounded up to multiples of four, with zeros; `n_features` is the true number of features.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w1_t: np.ndarray
    w2_t: np.ndarray
    squareplus_b: np.float32
    n_features: int


class ColorWeights(NamedTuple):
    """The colour network: first (H', E) for point, normal and features, E a multiple of four; hidden (L - 1, H', H'),
    hidden_b (L - 1, H'); last (4, H'), last_b (4,), the fourth channel zero; transposes of all three.
    """

    first: np.ndarray
    hidden: np.ndarray
    hidden_b: np.ndarray
    last: np.ndarray
    last_b: np.ndarray
    first_t: np.ndarray
    hidden_t: np.ndarray
    last_t: np.ndarray


class Rays(NamedTuple):
    """N rays cut into K intervals: origins, directions (N, 3), edges (N, K + 1), colors (N, 3), masks (N,).

    Masks are 1 on the object and 0 elsewhere; on a GPU rays with a mask below 0 are left out.
    `color_bias` (N, H') is what the first layer of the colour network makes of the viewing direction, bias included;
    `background` (N, 3) the colour behind everything. `offsets` (N, 3) lead from a sample to the point at which the
    curvature's second gradient is taken; (0, 3) without curvature.
    """

    origins: np.ndarray
    directions: np.ndarray
    edges: np.ndarray
    colors: np.ndarray
    masks: np.ndarray
    color_bias: np.ndarray
    background: np.ndarray
    offsets: np.ndarray


class ShellSamplesArguments(NamedTuple):
    """N rays with K points each: origins, directions (N, 3), t (N, K), and `color_bias` (N, H') as in `Rays`."""

    origins: np.ndarray
    directions: np.ndarray
    t: np.ndarray
    color_bias: np.ndarray


class ShellRays(NamedTuple):
    """N rays: origins, directions (N, 3), and the distances start, far (N,) between which they are traced."""

    origins: np.ndarray
    directions: np.ndarray
    start: np.ndarray
    far: np.ndarray


class ShellConstants(NamedTuple):
    """Constants of the tracing, lengths in scene units: see `ShellConfig`, `trace` and `sample_intervals`."""

    half: np.float32
    tolerance: np.float32
    step: np.float32
    sharpness: np.float32
    epsilon: np.float32
    opaque: np.float32
    clear_below: np.float32
    clear_above: np.float32
    least_slope: np.float32
    lipschitz: np.float32
    over_relaxation: np.float32
    refuted_beyond: np.float32
    slope_margin: np.float32
    weight_floor: np.float32
    max_queries: int
    max_shells: int
    max_steps: int


class ShellTraceResult(NamedTuple):
    """What N rays met: t (N, K) at quantiles of their weight, transmittance (N,), met (N,), needs_fallback (N,)."""

    t: np.ndarray
    transmittance: np.ndarray
    is_hit: np.ndarray
    needs_fallback: np.ndarray


class StepConstants(NamedTuple):
    """Numbers of one step.

    `color`, `eikonal`, `mask`, `curvature` are the weights of the terms over the number of what they sum: rays in the mask, samples,
    rays, rays. `huber` is the error up to which the term of colour is a square. The curvature is taken at samples nearer to the
    surface than `curvature_reach`; where gradients differ by far more than `curvature_edge` it is an edge.
    Colours of weights up to `weight_threshold` are not evaluated. Intervals count as no longer than `longest`: so far the slope at
    their middles holds.
    """

    sharpness: np.float32
    cos_anneal: np.float32
    epsilon: np.float32
    transmittance_floor: np.float32
    opacity_margin: np.float32
    huber: np.float32
    weight_threshold: np.float32
    longest: np.float32
    color: np.float32
    eikonal: np.float32
    mask: np.float32
    curvature: np.float32
    curvature_reach: np.float32
    curvature_edge: np.float32


class Networks(NamedTuple):
    """A whole model: what its rays are computed from."""

    grid: Grid
    color_grid: Grid
    surface: SurfaceWeights
    color: ColorWeights


class Gradients(NamedTuple):
    """Of the weights, shaped as they are, and sums of the loss's parts, with the derivative in the sharpness."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    first: np.ndarray
    hidden: np.ndarray
    hidden_b: np.ndarray
    last: np.ndarray
    last_b: np.ndarray
    sums: np.ndarray


class Samples(NamedTuple):
    """What the second part of the step needs of all M samples, channel by channel: N K, and N offset points if curvature is requested.

    points, grad_normals (3, M); normals (3, M) raw gradients; sdf (M,); cotangents, grad_features (C, M) of the grid's channels;
    is_visible (M,) whose colours were evaluated, and grad_color_features (C', M) of the colour grid's channels for those.
    """

    points: np.ndarray
    normals: np.ndarray
    sdf: np.ndarray
    cotangents: np.ndarray
    grad_features: np.ndarray
    grad_normals: np.ndarray
    is_visible: np.ndarray
    grad_color_features: np.ndarray


class Pixels(NamedTuple):
    """What each ray sees: rgb (N, 3), opacity (N,), t (N,), normals (N, 3), weight_max (N,); and the derivatives of the loss
    in `Rays.color_bias` (N, H') and `Rays.background` (N, 3).
    """

    rgb: np.ndarray
    opacity: np.ndarray
    t: np.ndarray
    normals: np.ndarray
    weight_max: np.ndarray
    grad_color_bias: np.ndarray
    grad_background: np.ndarray


# Indices in `Gradients.sums`.
SUM_COLOR, SUM_SQUARE, SUM_EIKONAL, SUM_MASK, SUM_SHARPNESS, SUM_CURVATURE = range(6)
N_SUMS = 7
