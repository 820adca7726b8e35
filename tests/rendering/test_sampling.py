import pytest
import torch

from neus.errors import InputError
from neus.geometry.rays import near_far_around_center
from neus.rendering.sampling import even_t, outside_t, points_along, upsampled_t
from tests.rendering.closed_forms import Sphere, in_ball, rays_towards


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def test_even_distances_reach_from_near_to_far():
    near, far = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    t = even_t(near, far, 5)
    assert torch.allclose(t, torch.tensor([[1.0, 1.5, 2.0, 2.5, 3.0], [2.0, 2.5, 3.0, 3.5, 4.0]]))


def test_jitter_moves_all_distances_of_a_ray_together_by_up_to_half_a_step():
    near, far = torch.ones(2000), torch.full((2000,), 3.0)
    moved = even_t(near, far, 64, seeded(), jitter=1.0) - even_t(near, far, 64)
    assert torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-6)
    assert moved.abs().max() <= 1.0 / 64 + 1e-6
    assert moved.mean().abs() < 1e-3 and moved.max() > 0.9 / 64


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_outside_distances_rise_from_behind_the_sphere_to_a_thousand_times_as_far(jitter):
    far = torch.tensor([3.0, 3.7])
    t = outside_t(far, 32, 64, seeded(), jitter)
    assert t.shape == (2, 32)
    assert (t.diff(dim=-1) > 0).all() and (t[:, 0] > far).all()
    if not jitter:
        assert torch.allclose(t[:, -1], far / 1e-3 + 1 / 64)
        inverse = far.unsqueeze(-1) / (t - 1 / 64)
        assert torch.allclose(inverse.diff(dim=-1), inverse.diff(dim=-1).mean().expand(2, 31), rtol=1e-3)


def test_a_seed_gives_the_same_distances():
    near, far = torch.ones(5), torch.full((5,), 3.0)
    assert torch.equal(even_t(near, far, 8, seeded(), 1.0), even_t(near, far, 8, seeded(), 1.0))
    assert not torch.equal(even_t(near, far, 8, seeded(), 1.0), even_t(near, far, 8, seeded(6), 1.0))
    assert torch.equal(outside_t(far, 8, 8, seeded(), 1.0), outside_t(far, 8, 8, seeded(), 1.0))


def test_new_samples_concentrate_around_the_surface():
    sphere = Sphere(0.5)
    origins, directions = rays_towards(in_ball(200, 0.4))
    t = even_t(*near_far_around_center(origins, directions), 64)
    more = upsampled_t(sphere.sdf, origins, directions, t, 64, 4)
    assert more.shape == (200, 128) and (more.diff(dim=-1) >= 0).all()

    def fraction_near(t):
        return (sphere.sdf(points_along(origins, directions, t)).abs() < 0.05).float().mean()

    assert fraction_near(more) > 2.5 * fraction_near(t)
    # The old samples stay: the new ones are added.
    nearest = (more.unsqueeze(1) - t.unsqueeze(2)).abs().amin(-1)
    assert nearest.max() == 0


def test_every_round_looks_more_closely():
    # At a sharpness of 64 a surface is a sixteenth thick, at 512, after three doublings, a hundredth.
    sphere, origins, directions = Sphere(0.5), torch.tensor([[0.1, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    even = even_t(torch.tensor([2.0]), torch.tensor([4.0]), 64)
    near = []
    for n_rounds in (1, 4):
        t = upsampled_t(sphere.sdf, origins, directions, even, 64, n_rounds)
        near.append((sphere.sdf(points_along(origins, directions, t)).abs() < 0.005).sum().item())
    assert near[1] > 2.5 * near[0]


@pytest.mark.parametrize(("z", "draws"), [(-0.8, False), (0.0, True)])
def test_only_what_lies_within_the_unit_sphere_draws_samples(z, draws):
    # A ball that the ray all but touches; the ray is within the unit sphere where |z| < 0.44.
    ball = Sphere(0.05, (0.955, 0.0, z))
    origins, directions = torch.tensor([[0.9, 0.0, -3.0]]), torch.eye(3)[2:]
    t = upsampled_t(ball.sdf, origins, directions, even_t(torch.tensor([2.0]), torch.tensor([4.0]), 64), 64, 4)
    assert (((t - (3.0 + z)).abs() < 0.1).sum() > 20) == draws


def test_samples_gather_at_the_first_surface_only():
    sphere = Sphere(0.5)
    origins, directions = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    t = upsampled_t(sphere.sdf, origins, directions, even_t(torch.tensor([2.0]), torch.tensor([4.0]), 64), 64, 4)
    entered, left = ((t - place).abs() < 0.03 for place in (2.5, 3.5))
    assert entered.sum() > 40 and left.sum() < 6


def test_a_ray_that_meets_nothing_gets_its_samples_all_the_same():
    origins, directions = torch.tensor([[0.0, 0.9, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    t = upsampled_t(Sphere(0.3).sdf, origins, directions, even_t(torch.tensor([2.0]), torch.tensor([4.0]), 16), 16, 4)
    assert t.isfinite().all() and t.min() >= 2.0 and t.max() <= 4.0


def test_the_field_is_evaluated_once_per_sample_but_for_those_of_the_last_round():
    asked = []

    def sdf(points):
        asked.append(len(points))
        return Sphere(0.5).sdf(points)

    origins, directions = rays_towards(in_ball(3, 0.4))
    upsampled_t(sdf, origins, directions, even_t(*near_far_around_center(origins, directions), 64), 64, 4)
    assert asked == [3 * 64, 3 * 16, 3 * 16, 3 * 16]


def test_rounds_that_cannot_be_alike_are_refused_and_others_add_all_their_samples():
    origins, directions = rays_towards(in_ball(3, 0.2))
    even = even_t(*near_far_around_center(origins, directions), 16)
    with pytest.raises(InputError, match="n_importance = 10 does not divide by up_sample_steps = 4; choose a multiple"):
        upsampled_t(Sphere(0.5).sdf, origins, directions, even, 10, 4)
    assert upsampled_t(Sphere(0.5).sdf, origins, directions, even, 10, 5).shape == (3, 26)
