import pytest
import torch

from neus.geometry.intervals import deltas_from_t, sample_intervals


def test_intervals_add_up_to_the_whole_stretch():
    t = torch.rand(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).sort(dim=-1).values
    deltas = deltas_from_t(t, last=0.3)
    assert deltas.shape == t.shape
    torch.testing.assert_close(deltas.sum(-1), t[:, -1] - t[:, 0] + 0.3)
    torch.testing.assert_close(t[:, :1] + deltas[:, :-1].cumsum(-1), t[:, 1:])


def test_a_lone_start_has_only_the_given_length():
    assert deltas_from_t(torch.tensor([[4.0]]), last=0.5).tolist() == [[0.5]]


@pytest.mark.parametrize("n_samples", [1, 4, 16, 33])
def test_a_uniform_density_gives_evenly_spaced_samples(n_samples):
    t = torch.linspace(2.0, 6.0, 9, dtype=torch.float64)[None]
    expected = 2.0 + 4.0 * (torch.arange(n_samples, dtype=torch.float64) + 0.5) / n_samples
    torch.testing.assert_close(sample_intervals(t, torch.ones(1, 8, dtype=torch.float64), n_samples), expected[None])


def test_uneven_intervals_of_even_weight_share_the_samples():
    t = torch.tensor([[0.0, 0.1, 1.0, 9.0]], dtype=torch.float64)
    samples = sample_intervals(t, torch.ones(1, 3, dtype=torch.float64), 30)
    assert [int(((samples >= a) & (samples < b)).sum()) for a, b in ((0.0, 0.1), (0.1, 1.0), (1.0, 9.0))] == [10] * 3


def test_samples_are_the_quantiles_of_a_known_density():
    # The density 2 t on [0, 1] has the quantiles sqrt(u).
    ends = torch.linspace(0.0, 1.0, 2001, dtype=torch.float64)
    weights = ends[1:] ** 2 - ends[:-1] ** 2
    u = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    # The floor of 1e-5 under each of 2000 intervals is 2 % of all weight; scaled up, the density drowns it.
    samples = sample_intervals(ends[None], 1e4 * weights[None], 64)
    torch.testing.assert_close(samples[0], u.sqrt(), atol=1e-4, rtol=0.0)


def test_samples_are_ascending_and_within_the_intervals():
    generator = torch.Generator().manual_seed(0)
    t = torch.rand(50, 17, generator=generator).sort(dim=-1).values
    weights = torch.rand(50, 16, generator=generator) ** 8
    samples = sample_intervals(t, weights, 32)
    assert samples.shape == (50, 32) and (samples.diff(dim=-1) >= 0).all()
    assert (samples >= t[:, :1]).all() and (samples <= t[:, -1:]).all()


def test_all_samples_go_where_all_the_weight_is():
    t = torch.linspace(0.0, 10.0, 11)[None].expand(10, 11)
    samples = sample_intervals(t, torch.eye(10), 16)
    start = torch.arange(10.0)[:, None]
    assert ((samples >= start) & (samples <= start + 1)).all()


@pytest.mark.parametrize("weight", [0.0, 1e-12, 1e12])
def test_samples_are_finite_and_in_range_at_any_weight(weight):
    t = torch.linspace(0.0, 1.0, 9)[None]
    samples = sample_intervals(t, torch.full((1, 8), weight), 16)
    torch.testing.assert_close(samples[0], (torch.arange(16.0) + 0.5) / 16, atol=1e-4, rtol=0.0)


def test_the_scale_of_the_weights_hardly_matters():
    t = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)[None]
    weights = torch.tensor([[1.0, 5.0, 2.0, 0.5, 3.0, 0.2, 0.1, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(sample_intervals(t, weights, 16), sample_intervals(t, 10 * weights, 16), atol=1e-4, rtol=0)


def test_empty_batches_give_empty_samples():
    assert sample_intervals(torch.zeros(0, 5), torch.zeros(0, 4), 8).shape == (0, 8)
