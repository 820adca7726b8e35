"""A surface field made to start as a given shape, by regression of its signed distances."""

import torch
from torch import Generator, Tensor
from torch.nn.functional import smooth_l1_loss

from neus.kernels.async_copy import to_device_async
from neus.kernels.trilinear.reference import trilinear
from neus.rendering.model import Model
from neus.training.optimizer import TABLE_BETAS, TABLE_EPSILON, TableAdam

N_ITERATIONS = 500
# Points of one step: within a voxel of the surface, whose position is to be kept to a fraction of that; near it; and all over the ball.
N_CLOSE, N_NEAR, N_ANYWHERE = 4096, 1024, 512
NEAR, BALL_RADIUS = 0.08, 1.05
LEARNING_RATE, LEARNING_RATE_TABLE, FINAL_FRACTION = 8e-3, 2e-2, 0.05
# Errors count as their square up to this, scene units.
HUBER = 0.002


def fit_distances(model: Model, values: Tensor, generator: Generator, n_iterations: int = N_ITERATIONS) -> float:
    """Trains the signed distances of a hash model to be `values` (P, P, P); returns the last mean error close to the surface."""
    surface = model.sdf_network
    layers = [*surface.hidden.parameters(), *surface.out.parameters()]
    optimizer = TableAdam(
        [{"params": layers}, {"params": [surface.grid.table], "eps": TABLE_EPSILON}],
        lr=LEARNING_RATE,
        betas=TABLE_BETAS,
    )
    bands = [(values.abs() < width).nonzero().cpu() for width in (2.0 / (len(values) - 1), NEAR)]
    error = torch.tensor(torch.nan)
    for i in range(n_iterations):
        decay = FINAL_FRACTION ** (i / n_iterations)
        for group, rate in zip(optimizer.param_groups, (LEARNING_RATE, LEARNING_RATE_TABLE), strict=True):
            group["lr"] = rate * decay
        points = to_device_async(_points(bands, len(values), generator), model.device)
        target, found = trilinear(values, points), surface.sdf(points)
        optimizer.zero_grad()
        smooth_l1_loss(found, target, beta=HUBER).backward()
        optimizer.step()
        error = (found - target)[:N_CLOSE].abs().mean().detach()
    model.zero_grad(set_to_none=True)
    return float(error)


def _points(bands: list[Tensor], resolution: int, generator: Generator) -> Tensor:
    """(M, 3): within half a voxel of vertices of each band about the surface, and within the ball."""
    parts = []
    for band, count in zip(bands, (N_CLOSE, N_NEAR), strict=True):
        if len(band):
            vertices = band[torch.randint(len(band), (count,), generator=generator)]
            jitter = torch.rand(vertices.shape, generator=generator) - 0.5
            parts.append((vertices + jitter) * (2.0 / (resolution - 1)) - 1.0)
    anywhere = torch.rand(2 * N_ANYWHERE, 3, generator=generator) * 2.0 - 1.0
    return torch.cat([*parts, BALL_RADIUS * anywhere[anywhere.norm(dim=-1) < 1.0][:N_ANYWHERE]])
