"""What is known of a tile: a few rays whose samples stay in the nearest cache from encoding to gradient."""

from typing import NamedTuple

import numpy as np

from neus.kernels.fused_step.arguments import ColorWeights, SurfaceWeights
from neus.kernels.fused_step.cpu.gemm_microkernel import COLUMNS

# Samples of a tile: their activations fill about half of a core's second cache.
TILE = 128


class Tile(NamedTuple):
    """Everything known of T samples: rows are channels. The inputs' first three rows are the points."""

    inputs: np.ndarray
    jacobian: np.ndarray
    hidden: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    pulled: np.ndarray
    out: np.ndarray
    cotangents: np.ndarray
    normals: np.ndarray
    grad_inputs: np.ndarray
    grad_cotangents: np.ndarray
    grad_hidden: np.ndarray
    grad_pulled: np.ndarray
    grad_out: np.ndarray
    grad_normals: np.ndarray
    color_inputs: np.ndarray
    color_hidden: np.ndarray
    rgb: np.ndarray
    grad_color_inputs: np.ndarray
    grad_color: np.ndarray
    grad_rgb: np.ndarray
    mean_rgb: np.ndarray
    t: np.ndarray
    deltas: np.ndarray
    cosines: np.ndarray
    drops: np.ndarray
    at_start: np.ndarray
    at_end: np.ndarray
    alphas: np.ndarray
    grad_alphas: np.ndarray
    transmittance: np.ndarray
    weights: np.ndarray
    place: np.ndarray
    visible: np.ndarray
    ray: np.ndarray


def empty_tile(n: int, n_channels: int, surface: SurfaceWeights, color: ColorWeights) -> Tile:
    """A tile for n samples, rounded up to whole blocks of columns; rows beyond the true channels are zero and stay so."""
    n = -(-n // COLUMNS) * COLUMNS

    def rows(*shape: int) -> np.ndarray:
        return np.zeros((*shape, n), np.float32)

    d_in, d_hidden, d_out = surface.w1.shape[1], surface.w1.shape[0], surface.w2.shape[0]
    e, d_color, n_hidden = color.first.shape[1], color.first.shape[0], color.hidden.shape[0]
    of_inputs = [rows(d_in), rows(n_channels, 3)]
    of_layers = [rows(d_hidden) for _ in range(4)]
    forward = [*of_inputs, *of_layers, rows(d_out), rows(d_in), rows(3)]
    backward = [rows(d_in), rows(d_in), rows(d_hidden), rows(d_hidden), rows(d_out), rows(3)]
    colors = [rows(e), rows(n_hidden + 1, d_color), rows(4), rows(e), rows(2, d_color), rows(4), rows(3)]
    of_intervals = [rows() for _ in range(10)]
    whole_numbers = [np.zeros(n, np.int64) for _ in range(3)]
    return Tile(*forward, *backward, *colors, *of_intervals, *whole_numbers)
