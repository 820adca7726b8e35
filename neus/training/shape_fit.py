"""A surface field made to start as a given shape, by regression of its signed distances."""

import torch
from torch import Generator, Tensor
from torch.nn.functional import smooth_l1_loss

from neus.kernels.async_copy import to_device_async
from neus.kernels.trilinear.reference import trilinear
from neus.rendering.model import Model
from neus.training.optimizer import TABLE_BETAS, TABLE_EPSILON, TableAdam

N_ITERATIONS = 500
# Points of one step: near the surface, where signs are decided, and all over the ball.
N_NEAR, N_ANYWHERE = 3072, 1024
NEAR, BALL_RADIUS = 0.08, 1.05
LEARNING_RATE, LEARNING_RATE_TABLE, FINAL_FRACTION = 8e-3, 2e-2, 0.1
# Errors count as their square up to this, scene units; the Eikonal term only keeps the field smooth.
HUBER, EIKONAL = 0.01, 0.01
# Finer levels are left at rest: the shape knows nothing of them.
LEVELS_FRACTION = 1.0


def fit_distances(model: Model, values: Tensor, generator: Generator, n_iterations: int = N_ITERATIONS) -> float:
    """Trains the signed distances of a hash model to be `values` (P, P, P); returns the last mean error near the surface."""
    surface = model.sdf_network
    model.set_active_levels(max(1, round(LEVELS_FRACTION * surface.config.grid.n_levels)))
    layers = [*surface.hidden.parameters(), *surface.out.parameters()]
    optimizer = TableAdam(
        [{"params": layers}, {"params": [surface.grid.table], "eps": TABLE_EPSILON}],
        lr=LEARNING_RATE,
        betas=TABLE_BETAS,
    )
    near = (values.abs() < NEAR).nonzero().cpu()
    error = torch.tensor(torch.nan)
    for i in range(n_iterations):
        decay = FINAL_FRACTION ** (i / n_iterations)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = (
            LEARNING_RATE * decay,
            LEARNING_RATE_TABLE * decay,
        )
        points = to_device_async(_points(near, len(values), generator), model.device)
        target = trilinear(values, points)
        sample = surface.evaluate(points)
        loss = smooth_l1_loss(sample.sdf, target, beta=HUBER)
        loss = loss + EIKONAL * (sample.gradients.norm(dim=-1) - 1.0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        error = (sample.sdf - target)[:N_NEAR].abs().mean().detach()
    model.zero_grad(set_to_none=True)
    model.set_active_levels(surface.config.grid.n_levels)
    return float(error)


def _points(near: Tensor, resolution: int, generator: Generator) -> Tensor:
    """(M, 3): within half a voxel of vertices near the surface, and within the ball."""
    anywhere = torch.rand(2 * N_ANYWHERE, 3, generator=generator) * 2.0 - 1.0
    anywhere = BALL_RADIUS * anywhere[anywhere.norm(dim=-1) < 1.0][:N_ANYWHERE]
    if len(near) == 0:
        return anywhere
    vertices = near[torch.randint(len(near), (N_NEAR,), generator=generator)]
    jitter = torch.rand(vertices.shape, generator=generator) - 0.5
    return torch.cat([(vertices + jitter) * (2.0 / (resolution - 1)) - 1.0, anywhere])
