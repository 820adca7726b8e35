import pytest
import torch

from neus.geometry.contraction import inverted_sphere


def random_directions(n=30):
    directions = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(directions, dim=-1)


@pytest.mark.parametrize("radius", [1.0, 1.5, 40.0, 1e6])
def test_a_point_at_radius_r_is_its_direction_and_one_over_r(radius):
    folded = inverted_sphere(radius * random_directions())
    torch.testing.assert_close(folded[:, :3], random_directions())
    torch.testing.assert_close(folded[:, 3], torch.full((30,), 1.0 / radius, dtype=torch.float64))


def test_folding_can_be_undone_outside_the_sphere():
    points = random_directions() * torch.linspace(1.0, 500.0, 30, dtype=torch.float64)[:, None]
    folded = inverted_sphere(points)
    torch.testing.assert_close(folded[:, :3] / folded[:, 3:], points)


def test_points_within_the_unit_sphere_stay_where_they_are():
    points = 0.7 * random_directions()
    folded = inverted_sphere(points)
    assert torch.equal(folded[:, :3], points) and (folded[:, 3] == 1.0).all()


def test_all_of_space_is_folded_into_a_bounded_one():
    points = random_directions().float() * torch.logspace(-3, 18, 30)[:, None]
    folded = inverted_sphere(points)
    assert torch.isfinite(folded).all()
    assert (folded[:, 3] > 0).all() and (folded[:, 3] <= 1).all()
    assert inverted_sphere(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0, 1.0]


def test_folding_is_continuous_across_the_unit_sphere():
    inside, outside = (inverted_sphere(radius * random_directions()) for radius in (1 - 1e-9, 1 + 1e-9))
    torch.testing.assert_close(inside, outside, atol=1e-8, rtol=0.0)
