import pytest
import torch

from neus.rendering.density import DENSITIES, PUBLISHED_EPSILON, LaplaceDensity, LogisticDensity, OccupancyDensity
from neus.rendering.weights import weights_from_alphas

# An oblique crossing of a plane, as in the comparison of densities in docs/rendering.md: the ray starts a length of 1
# before the surface and ends 1 behind it.
SHARPNESS = torch.tensor(500.0, dtype=torch.float64)
EXACT = LogisticDensity(epsilon=0.0)
ALL = [EXACT, LogisticDensity(), LaplaceDensity(), OccupancyDensity()]


def label(density):
    return "exact logistic" if density == EXACT else type(density).__name__


def crossing(density, cosine, n_intervals, n_samples=32):
    """Mean depth of the light minus that of the surface, and opacity.

    Light ends in the middles of intervals, which may be longer than the surface is thick; so the mean is taken over
    places of the surface within an interval as well.
    """
    ends = torch.linspace(0.0, 2.0, n_intervals + 1, dtype=torch.float64)
    surface = 1.0 + ((torch.arange(n_samples) + 0.5) / n_samples - 0.5).double().unsqueeze(-1) * 2.0 / n_intervals
    sdf = (surface - ends) * cosine
    alphas = density.alphas(sdf[:, :-1], sdf[:, 1:], ends.diff().expand(n_samples, -1), SHARPNESS)
    weights = weights_from_alphas(alphas)
    depth = (weights * (ends[1:] + ends[:-1]) / 2).sum(-1) / weights.sum(-1)
    return float((depth - surface.squeeze(-1)).mean()), float(weights.sum(-1).min())


@pytest.mark.parametrize("cosine", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("n_intervals", [16, 64, 256, 2048])
def test_logistic_weight_lies_on_the_surface_at_any_angle_and_number_of_intervals(cosine, n_intervals):
    bias, _ = crossing(EXACT, cosine, n_intervals)
    assert abs(bias) <= 1e-4


@pytest.mark.parametrize("cosine", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("n_intervals", [16, 64, 256, 2048])
def test_published_epsilon_adds_only_a_fog_of_1e_5_per_interval(cosine, n_intervals):
    bias, _ = crossing(LogisticDensity(), cosine, n_intervals)
    # In front of the surface lie half the intervals, on average half a unit before it.
    fog = -PUBLISHED_EPSILON * n_intervals / 2 * 0.5
    assert bias == pytest.approx(fog, rel=0.1, abs=1e-5)


@pytest.mark.parametrize(
    ("density", "cosine", "known"),
    [
        (LaplaceDensity(), 1.0, 0.0007),
        (LaplaceDensity(), 0.5, -0.0021),
        (LaplaceDensity(), 0.2, -0.0149),  # seven widths in front of the surface
        (OccupancyDensity(), 1.0, -0.0023),
        (OccupancyDensity(), 0.5, -0.0077),
        (OccupancyDensity(), 0.2, -0.0288),
    ],
    ids=str,
)
def test_other_densities_have_their_known_bias(density, cosine, known):
    bias, _ = crossing(density, cosine, 2048)
    assert bias == pytest.approx(known, abs=1e-4)


def test_bias_of_occupancy_depends_on_the_number_of_intervals():
    biases = [crossing(OccupancyDensity(), 1.0, n)[0] for n in (64, 256, 2048)]
    assert biases[0] > 0.005 > biases[1] > 0.0 > biases[2]


@pytest.mark.parametrize("density", ALL, ids=label)
@pytest.mark.parametrize("cosine", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("n_intervals", [16, 64, 256, 2048])
def test_a_full_crossing_is_opaque(density, cosine, n_intervals):
    assert crossing(density, cosine, n_intervals)[1] >= 0.999


def test_opacity_of_logistic_crossing_does_not_depend_on_the_number_of_intervals():
    sharpness = torch.tensor(3.0, dtype=torch.float64)  # blurred, so that it is not simply one
    passing = []
    for n_intervals in (2, 16, 333):
        sdf = torch.linspace(0.8, -0.6, n_intervals + 1, dtype=torch.float64)
        passing.append((1.0 - EXACT.alphas(sdf[:-1], sdf[1:], sdf[:-1], sharpness)).prod())
    expected = torch.sigmoid(sharpness * -0.6) / torch.sigmoid(sharpness * 0.8)
    assert torch.allclose(torch.stack(passing), expected, rtol=1e-12)


def test_logistic_draws_only_what_enters():
    rising = EXACT.alphas(torch.tensor([-0.1]), torch.tensor([0.1]), torch.ones(1), torch.tensor(50.0))
    assert rising.item() == 0.0


def test_both_logistic_forms_agree_where_neither_underflows():
    sdf_starts, sdf_ends = torch.rand(100, dtype=torch.float64) * 0.1, torch.rand(100, dtype=torch.float64) * -0.01
    sharpness = torch.tensor(40.0, dtype=torch.float64)
    difference = EXACT.alphas(sdf_starts, sdf_ends, sdf_starts, sharpness) - LogisticDensity().alphas(
        sdf_starts, sdf_ends, sdf_starts, sharpness
    )
    assert difference.abs().max() < 2 * PUBLISHED_EPSILON


def test_laplace_is_the_integral_of_its_density_over_short_intervals():
    # VolSDF eq. 2 and 3: sigma = s Psi(-f), with Psi the Laplace distribution of scale 1 / s.
    sdf, sharpness = torch.tensor([-0.3, -0.01, 0.0, 0.02, 0.4]), torch.tensor(30.0)
    expected = sharpness * torch.distributions.Laplace(0.0, 1.0 / sharpness).cdf(-sdf)
    alphas = LaplaceDensity().alphas(sdf, sdf, torch.full_like(sdf, 1e-4), sharpness)
    assert torch.allclose(alphas / 1e-4, expected, rtol=2e-3)


@pytest.mark.parametrize("density", ALL, ids=label)
def test_alphas_are_between_zero_and_one_whatever_comes(density):
    sdf_starts, sdf_ends = 3.0 * torch.randn(2, 10_000)
    deltas = torch.rand(10_000)
    for sharpness in (1e-6, 1.0, 20.0, 1e3, 1e6):
        alphas = density.alphas(sdf_starts, sdf_ends, deltas, torch.tensor(sharpness))
        assert (alphas >= 0).all() and (alphas <= 1).all()


@pytest.mark.parametrize("density", ALL, ids=label)
def test_gradients_are_those_that_differences_measure(density):
    sdf_starts = torch.tensor([0.05, 0.11, 0.02, -0.03], dtype=torch.float64, requires_grad=True)
    sdf_ends = torch.tensor([-0.02, 0.08, -0.07, -0.06], dtype=torch.float64, requires_grad=True)
    deltas = torch.tensor([0.1, 0.05, 0.1, 0.04], dtype=torch.float64, requires_grad=True)
    sharpness = torch.tensor(20.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(density.alphas, (sdf_starts, sdf_ends, deltas, sharpness))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("density", ALL, ids=label)
@pytest.mark.parametrize("sharpness", [1e-6, 20.0, 1e4, 1e6])
def test_values_and_gradients_stay_finite_at_extreme_sharpness(density, dtype, sharpness):
    # |s f| up to 1e4 and, at the largest sharpness, up to 1e6 as well; every pair of ends, zero among them.
    reach = torch.cat([torch.zeros(1), torch.logspace(-3, 4, 15), torch.tensor([1e6])]).to(dtype) / sharpness
    sdf = torch.cat([-reach.flip(0), reach[1:]])
    pairs = torch.cartesian_prod(sdf, sdf)
    inputs = [pairs[:, 0].clone(), pairs[:, 1].clone(), (pairs[:, 0] - pairs[:, 1]).abs(), torch.tensor(sharpness)]
    inputs = [x.to(dtype).requires_grad_() for x in inputs]
    alphas = density.alphas(*inputs)
    assert alphas.isfinite().all()
    gradients = torch.autograd.grad(alphas.sum(), inputs, allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in gradients)


def test_confs_know_all_densities():
    assert {type(make()) for make in DENSITIES.values()} == {LogisticDensity, LaplaceDensity, OccupancyDensity}
    assert DENSITIES["logistic"]() == LogisticDensity()
