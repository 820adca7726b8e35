"""Where along rays a field is sampled: even steps, then more of them near the estimated surface."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from neus.errors import InputError
from neus.geometry.intervals import sample_intervals
from neus.kernels.async_copy import to_device_async
from neus.rendering.density import LogisticDensity
from neus.rendering.weights import weights_from_alphas

# Sharpness of the first round of up-sampling; each further round doubles it (NeuS sec. 3.3).
FIRST_UPSAMPLING_SHARPNESS = 64.0
_DENSITY = LogisticDensity()


class Noise:
    """Random numbers in [0, 1) drawn beforehand and returned in that order: replaces a generator where none can be used."""

    def __init__(self, *drawn: Tensor) -> None:
        self._drawn = iter(drawn)

    def next(self, shape: tuple[int, ...]) -> Tensor:
        """The next of them; they have the requested shape."""
        drawn = next(self._drawn)
        assert drawn.shape == shape, (drawn.shape, shape)
        return drawn


# Where random numbers come from.
Randomness = Generator | Noise


def even_t(
    near: Tensor, far: Tensor, n_samples: int, generator: Randomness | None = None, jitter: float = 0.0
) -> Tensor:
    """Evenly spaced distances from near to far, moved together by a random part of a step if `jitter` > 0.

    Args:
        near, far: (N,).
        n_samples: S.
        generator: source of randomness, on any device.
        jitter: 1 moves each ray's samples by up to half a step of a stretch of length 2, 0 not at all.

    Returns:
        (N, S), ascending.
    """
    steps = torch.linspace(0.0, 1.0, n_samples, dtype=near.dtype, device=near.device)
    t = near.unsqueeze(-1) + (far - near).unsqueeze(-1) * steps
    if jitter > 0:
        t = t + jitter * (uniform((len(near), 1), near, generator) - 0.5) * 2.0 / n_samples
    return t


def outside_t(
    far: Tensor,
    n_outside: int,
    n_samples: int,
    generator: Randomness | None = None,
    jitter: float = 0.0,
    reach: Tensor | None = None,
) -> Tensor:
    """Distances beyond `far`, evenly spaced in inverse distance, stratified if `jitter` > 0 (NeRF++ sec. 4).

    Args:
        far: (N,), where the unit sphere is left.
        n_outside: number of distances.
        n_samples: of the foreground; 1 / n_samples keeps a gap to its last interval.
        reach: (N,) above zero, the distance at `far` whose inverse is even: t = reach / u - reach + far for even u in (0, 1);
            `far` itself if None, which must be above zero then.

    Returns:
        (N, n_outside), ascending.
    """
    inverse = torch.linspace(1e-3, 1.0 - 1.0 / (n_outside + 1.0), n_outside, dtype=far.dtype, device=far.device)
    inverse = inverse.expand(len(far), n_outside)
    if jitter > 0:
        middles = (inverse[:, 1:] + inverse[:, :-1]) / 2
        lower = torch.cat([inverse[:, :1], middles], dim=-1)
        upper = torch.cat([middles, inverse[:, -1:]], dim=-1)
        inverse = lower + (upper - lower) * uniform(inverse.shape, far, generator)
    reach = far if reach is None else reach
    return reach.unsqueeze(-1) / inverse.flip(-1) + (far - reach).unsqueeze(-1) + 1.0 / n_samples


@torch.no_grad()
def upsampled_t(
    sdf: Callable[[Tensor], Tensor], origins: Tensor, directions: Tensor, t: Tensor, n_importance: int, n_rounds: int
) -> Tensor:
    """Distances with `n_importance` more of them near the surface, found in rounds of doubling sharpness.

    NeuS sec. 3.3: each round draws from the weights that the logistic density of fixed sharpness gives the intervals
    so far. Distances of new points are not evaluated after the last round, so S + (R - 1) n / R evaluations are made.

    Args:
        sdf: signed distances (M,) at points (M, 3).
        origins, directions: (N, 3).
        t: (N, S), ascending.
        n_importance: how many more, divided evenly among the rounds.
        n_rounds: R.

    Returns:
        (N, S + n_importance), ascending, without gradient.

    Raises:
        InputError: the rounds cannot be alike.
    """
    if n_importance % n_rounds:
        raise InputError(f"n_importance = {n_importance} does not divide by up_sample_steps = {n_rounds}; choose a multiple.")
    distances = _sdf_along(sdf, origins, directions, t)
    for i in range(n_rounds):
        sharpness = FIRST_UPSAMPLING_SHARPNESS * 2.0**i
        new_t = sample_intervals(
            t, _interval_weights(origins, directions, t, distances, sharpness), n_importance // n_rounds
        )
        t, order = torch.cat([t, new_t], dim=-1).sort(dim=-1)
        if i + 1 < n_rounds:
            new_distances = _sdf_along(sdf, origins, directions, new_t)
            distances = torch.cat([distances, new_distances], dim=-1).gather(-1, order)
    return t


def _interval_weights(origins: Tensor, directions: Tensor, t: Tensor, sdf: Tensor, sharpness: float) -> Tensor:
    """(N, S - 1): weight of each interval, its signed distance taken as linear with the steeper of two slopes."""
    radii = points_along(origins, directions, t).norm(dim=-1)
    inside = (radii[:, :-1] < 1.0) | (radii[:, 1:] < 1.0)
    deltas = t[:, 1:] - t[:, :-1]
    slopes = (sdf[:, 1:] - sdf[:, :-1]) / (deltas + 1e-5)
    # An interval that already leaves the surface still belongs to it if the one before entered: robust at sharp ridges.
    before = torch.cat([torch.zeros_like(slopes[:, :1]), slopes[:, :-1]], dim=-1)
    slopes = torch.minimum(before, slopes).clamp(-1e3, 0.0) * inside
    middles, half_drops = (sdf[:, 1:] + sdf[:, :-1]) / 2, -slopes * deltas / 2
    alphas = _DENSITY.alphas(middles + half_drops, middles - half_drops, deltas, t.new_full((), sharpness))
    return weights_from_alphas(alphas)


def points_along(origins: Tensor, directions: Tensor, t: Tensor) -> Tensor:
    """(N, S, 3): the points at distances t (N, S) along rays (N, 3)."""
    return origins.unsqueeze(1) + directions.unsqueeze(1) * t.unsqueeze(-1)


def _sdf_along(sdf: Callable[[Tensor], Tensor], origins: Tensor, directions: Tensor, t: Tensor) -> Tensor:
    return sdf(points_along(origins, directions, t).reshape(-1, 3)).reshape(t.shape)


def uniform(shape: tuple[int, ...], like: Tensor, generator: Randomness | None) -> Tensor:
    """Numbers of a shape from [0, 1), of the type and on the device of `like`."""
    if isinstance(generator, Noise):
        return generator.next(shape).to(like)
    # Drawn where the generator lives, so that a seed gives the same rays on every device.
    device = like.device if generator is None else generator.device
    drawn = torch.rand(shape, generator=generator, device=device, dtype=torch.float32)
    return to_device_async(drawn, like.device).to(like)
