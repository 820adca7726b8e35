from dataclasses import replace

import pytest
import torch

from neus.geometry.poses import rotation_from_vector
from neus.geometry.rays import intersect_sphere
from neus.rendering.density import LaplaceDensity
from neus.rendering.interval_ends import sdf_at_interval_ends
from neus.rendering.renderer import RendererConfig, render_intervals, render_rays
from tests.rendering.closed_forms import FINE, Plane, Sphere, Turned, fields_of, in_ball, no_shading, rays_towards

RADIUS = 0.5
# With a background the foreground's intervals end at the unit sphere.
WITH_BACKGROUND = RendererConfig(n_samples=64, n_importance=64, n_outside=32)


def sphere_rays(n=100, inside=0.9):
    """Rays that hit the sphere of RADIUS, not too flatly."""
    return rays_towards(in_ball(n, inside * RADIUS))


def missing_rays(n=100):
    """Rays through the unit sphere that pass the inner one."""
    origins, directions = rays_towards(in_ball(10 * n))
    hits = intersect_sphere(origins, directions, 1.1 * RADIUS)[2]
    return origins[~hits][:n], directions[~hits][:n]


def glow(points, directions):
    """A background without density: what is outside is empty and black."""
    return torch.zeros_like(points[..., 0]), torch.zeros_like(directions)


def wall(points, directions):
    """A dense blue background from twice the radius of the unit sphere on."""
    return 50.0 * (points[..., 3] < 0.5), torch.tensor([0.0, 0.0, 1.0]).expand_as(directions)


def test_distance_of_a_sphere_is_that_of_the_closed_form():
    origins, directions = sphere_rays()
    seen = render_rays(fields_of(Sphere(RADIUS)), origins, directions, FINE)
    enters, _, hits = intersect_sphere(origins, directions, RADIUS)
    assert hits.all()
    # Intervals near the surface are a few thousandths long; the mean over them is better than one of them.
    assert (seen.t - enters).abs().max() < 3e-3
    assert (seen.t - enters).abs().mean() < 1e-3


@pytest.mark.parametrize("offset", [-0.3, 0.0, 0.2])
def test_distance_of_an_oblique_plane_is_that_of_the_closed_form(offset):
    plane = Plane((0.3, -0.5, 0.8), offset)
    targets = in_ball(100, 0.5)
    targets = targets - plane.sdf(targets).unsqueeze(-1) * plane.normal
    origins, directions = rays_towards(targets)
    in_front = (directions @ plane.normal) < -0.2
    origins, directions, targets = origins[in_front], directions[in_front], targets[in_front]
    seen = render_rays(fields_of(plane), origins, directions, FINE)
    assert (seen.t - (targets - origins).norm(dim=-1)).abs().max() < 3e-3
    assert torch.allclose(seen.normals, plane.normal.expand_as(seen.normals), atol=1e-4)


def test_depth_is_the_part_of_the_distance_along_the_viewing_axis():
    origins, directions = sphere_rays()
    forward = torch.nn.functional.normalize(-origins, dim=-1)
    seen = render_rays(fields_of(Sphere(RADIUS)), origins, directions, FINE, forward=forward)
    assert torch.allclose(seen.depth, seen.t * (directions * forward).sum(-1))
    assert (seen.depth < seen.t).all()
    without = render_rays(fields_of(Sphere(RADIUS)), origins, directions, FINE)
    assert torch.equal(without.depth, without.t)


def test_normals_of_a_sphere_point_outwards_from_its_centre():
    center = torch.tensor([0.1, -0.2, 0.05])
    origins, directions = rays_towards(center + in_ball(100, 0.3))
    seen = render_rays(fields_of(Sphere(0.4, center.tolist())), origins, directions, FINE)
    hit = origins + seen.t.unsqueeze(-1) * directions
    outwards = torch.nn.functional.normalize(hit - center, dim=-1)
    assert torch.allclose(seen.normals.norm(dim=-1), torch.ones(100), atol=1e-5)
    assert (seen.normals * outwards).sum(-1).min() > 0.999
    assert ((seen.normals * directions).sum(-1) < 0).all(), "what is seen faces the camera"


def test_opacity_is_one_on_hits_and_zero_on_misses():
    fields = fields_of(Sphere(RADIUS))
    hits, misses = render_rays(fields, *sphere_rays(), FINE), render_rays(fields, *missing_rays(), FINE)
    assert hits.opacity.min() > 0.999
    # The published epsilon is a fog of 1e-5 per interval.
    assert misses.opacity.max() < 128 * 1.1e-5
    assert torch.equal(hits.opacity, hits.foreground)


def test_rotating_the_scene_and_its_rays_rotates_normals_and_leaves_colors():
    rotation = rotation_from_vector(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64))
    sphere = Sphere(0.4, (0.2, 0.1, -0.1))
    origins, directions = (x.double() for x in rays_towards(torch.tensor([0.2, 0.1, -0.1]) + in_ball(50, 0.3)))
    still = render_rays(fields_of(sphere), origins, directions, FINE)
    turned = render_rays(fields_of(Turned(sphere, rotation)), origins @ rotation.T, directions @ rotation.T, FINE)
    assert torch.allclose(turned.normals, still.normals @ rotation.T, atol=1e-6)
    assert torch.allclose(turned.rgb, still.rgb, atol=1e-6)
    assert torch.allclose(turned.t, still.t, atol=1e-6)


def test_color_of_a_hit_is_the_surface_color_there():
    origins, directions = sphere_rays()
    seen = render_rays(fields_of(Sphere(RADIUS)), origins, directions, FINE)
    hit = origins + intersect_sphere(origins, directions, RADIUS)[0].unsqueeze(-1) * directions
    assert torch.allclose(seen.rgb, no_shading(hit, None, None, hit[:, 2:]), atol=5e-3)


def test_background_color_fills_what_is_not_opaque():
    fields, white = fields_of(Sphere(RADIUS), sharpness=20.0), torch.ones(3)
    origins, directions = (torch.cat(pair) for pair in zip(sphere_rays(), missing_rays(), strict=True))
    plain, filled = (render_rays(fields, origins, directions, FINE, background=b) for b in (None, white))
    assert torch.allclose(filled.rgb, plain.rgb + (1.0 - plain.opacity).unsqueeze(-1), atol=1e-6)
    assert torch.equal(filled.opacity, plain.opacity)
    colors = torch.rand(len(origins), 3)
    each = render_rays(fields, origins, directions, FINE, background=colors)
    assert torch.allclose(each.rgb, plain.rgb + colors * (1.0 - plain.opacity).unsqueeze(-1), atol=1e-6)


def test_a_miss_before_white_is_white():
    seen = render_rays(fields_of(Sphere(RADIUS)), *missing_rays(), FINE, background=torch.ones(3))
    assert torch.allclose(seen.rgb, torch.ones(100, 3), atol=2e-3)


def test_a_miss_has_neither_depth_nor_normal_worth_its_name_and_nothing_is_nan():
    empty = fields_of(Plane((0.0, 0.0, 1.0), -5.0))  # far below all rays
    seen = render_rays(empty, *rays_towards(in_ball(20)), FINE)
    assert all(value.isfinite().all() for value in vars(seen).values())
    assert seen.foreground.max() < 2e-3


def test_without_jitter_rendering_is_deterministic():
    fields, rays = fields_of(Sphere(RADIUS)), sphere_rays()
    first, second = (render_rays(fields, *rays, FINE) for _ in range(2))
    assert all(torch.equal(vars(first)[name], vars(second)[name]) for name in vars(first))


def test_a_seed_reproduces_jitter_and_another_does_not():
    fields, rays = fields_of(Sphere(RADIUS), background=wall), sphere_rays()

    def seen(seed):
        return render_rays(fields, *rays, WITH_BACKGROUND, perturb=True, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(seen(1).t_mids, seen(1).t_mids) and torch.equal(seen(1).weights, seen(1).weights)
    assert not torch.equal(seen(1).t_mids, seen(2).t_mids)


def test_jitter_leaves_the_surface_where_it_is():
    origins, directions = sphere_rays()
    fields = fields_of(Sphere(RADIUS))
    seen = render_rays(fields, origins, directions, FINE, perturb=True, generator=torch.Generator().manual_seed(0))
    assert (seen.t - intersect_sphere(origins, directions, RADIUS)[0]).abs().max() < 3e-3


def test_perturb_zero_in_the_conf_turns_jitter_off():
    still, rays = replace(FINE, perturb=0.0), sphere_rays()
    fields = fields_of(Sphere(RADIUS))
    assert torch.equal(render_rays(fields, *rays, still, perturb=True).t_mids, render_rays(fields, *rays, still).t_mids)


def test_rays_rendered_together_or_apart_are_the_same():
    fields = fields_of(Sphere(RADIUS), background=wall)
    origins, directions = (x.double() for x in sphere_rays(20))
    together = render_rays(fields, origins, directions, WITH_BACKGROUND)
    apart = [render_rays(fields, origins[i : i + 7], directions[i : i + 7], WITH_BACKGROUND) for i in range(0, 20, 7)]
    for name, value in vars(together).items():
        assert torch.allclose(value, torch.cat([getattr(part, name) for part in apart]), atol=1e-10)


@pytest.mark.parametrize(("config", "n_intervals"), [(FINE, 128), (WITH_BACKGROUND, 160)])
def test_weights_hold_outside_intervals_only_with_a_background(config, n_intervals):
    fields = fields_of(Sphere(RADIUS), background=wall)
    seen = render_rays(fields, *sphere_rays(9), config)
    assert seen.weights.shape == (9, n_intervals)
    assert seen.gradients.shape == (9, 128, 3) and seen.t_mids.shape == seen.radii.shape == (9, 128)
    assert torch.allclose(seen.opacity, seen.weights.sum(-1))


def test_an_object_hides_the_background_and_misses_show_it():
    fields = fields_of(Sphere(RADIUS), background=wall)
    hits, misses = (render_rays(fields, *rays, WITH_BACKGROUND) for rays in (sphere_rays(), missing_rays()))
    assert hits.foreground.min() > 0.99
    assert misses.foreground.max() < 0.01 and misses.opacity.min() > 0.99
    assert torch.allclose(misses.rgb, torch.tensor([0.0, 0.0, 1.0]).expand(100, 3), atol=0.01)


def test_an_empty_background_changes_nothing_on_hits():
    rays = sphere_rays()
    with_it, without = (
        render_rays(fields_of(Sphere(RADIUS), background=b), *rays, WITH_BACKGROUND) for b in (glow, None)
    )
    assert torch.allclose(with_it.rgb, without.rgb, atol=1e-3)
    assert torch.allclose(with_it.t, without.t, atol=1e-3)


def test_the_surface_field_is_not_drawn_outside_the_unit_sphere_where_a_background_is():
    # A shell of solid matter beyond 0.95: rays meet it at 1 + something, outside.
    class Outer(Sphere):
        def sdf(self, points):
            return 1.02 - points.norm(dim=-1)

        def evaluate(self, points):
            return (
                super().evaluate(points)._replace(sdf=self.sdf(points), gradients=-super().evaluate(points).gradients)
            )

    seen = render_rays(fields_of(Outer(), background=glow), *rays_towards(in_ball(50, 0.5)), WITH_BACKGROUND)
    assert seen.foreground.max() < 0.01


def test_any_density_family_can_be_rendered():
    origins, directions = sphere_rays(50, inside=0.5)
    seen = render_rays(fields_of(Sphere(RADIUS), sharpness=500.0, density=LaplaceDensity()), origins, directions, FINE)
    assert seen.opacity.min() > 0.99
    assert (seen.t - intersect_sphere(origins, directions, RADIUS)[0]).abs().max() < 0.02


def test_without_upsampling_only_the_even_samples_are_used():
    config = RendererConfig(n_samples=64, n_importance=0, n_outside=0)
    assert render_rays(fields_of(Sphere(RADIUS)), *sphere_rays(3), config).t_mids.shape == (3, 64)


def test_fields_are_evaluated_at_the_middles_of_the_intervals():
    config = RendererConfig(n_samples=5, n_importance=0, n_outside=0)
    origins, directions = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    seen = render_rays(fields_of(Sphere(RADIUS)), origins, directions, config)
    # From 2 to 4 in steps of 0.5; the last interval has no end and is given the length 2 / 5.
    assert torch.allclose(seen.t_mids, torch.tensor([[2.25, 2.75, 3.25, 3.75, 4.2]]))
    assert torch.allclose(seen.radii, (seen.t_mids - 3.0).abs())


def test_interval_ends_follow_the_slope_along_the_ray_once_it_is_trusted():
    sdf, deltas = torch.tensor([[0.2, 0.2]]), torch.tensor([[0.1, 0.1]])
    gradients = torch.tensor([[[0.0, 0.0, -0.8], [0.0, 0.0, 0.8]]])  # the ray enters, and leaves
    directions = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]])
    starts, ends = sdf_at_interval_ends(sdf, gradients, directions, deltas, 1.0)
    assert torch.allclose(starts, torch.tensor([[0.24, 0.2]])) and torch.allclose(ends, torch.tensor([[0.16, 0.2]]))


def test_interval_ends_early_in_training_fall_for_every_ray():
    # Half of 1 - cos: 0.9 and 0.1 for the two cosines.
    sdf, deltas = torch.tensor([[0.2, 0.2]]), torch.tensor([[0.1, 0.1]])
    gradients = torch.tensor([[[0.0, 0.0, -0.8], [0.0, 0.0, 0.8]]])
    directions = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]])
    starts, ends = sdf_at_interval_ends(sdf, gradients, directions, deltas, 0.0)
    assert torch.allclose(starts - ends, torch.tensor([[0.09, 0.01]]))
    half_starts, half_ends = sdf_at_interval_ends(sdf, gradients, directions, deltas, 0.5)
    assert torch.allclose(half_starts - half_ends, torch.tensor([[0.085, 0.005]]))


def test_colors_are_differentiable_in_radius_and_sharpness():
    radius, sharpness = torch.tensor(RADIUS, requires_grad=True), torch.tensor(20.0, requires_grad=True)
    fields = replace(fields_of(Sphere(radius)), sharpness=sharpness)
    seen = render_rays(fields, *missing_rays(), FINE)
    seen.opacity.sum().backward()
    assert radius.grad > 0, "a larger sphere covers more of rays that pass it"
    assert sharpness.grad < 0, "a sharper one less"


def test_a_long_interval_before_a_surface_is_not_a_wall_in_free_space():
    # Distances to what bulges bend upwards along a ray: the slope in the middle of the way would tell most rays to be inside at its end.
    origins, directions = sphere_rays()
    fields = fields_of(Sphere(RADIUS))
    enters, leaves, _ = intersect_sphere(origins, directions, RADIUS)
    ends = enters - 0.03
    before = render_intervals(fields, origins, directions, torch.stack([ends - 1.0, ends], dim=-1))
    assert before.opacity.max() < 1e-2
    steps = torch.linspace(0.0, 0.05, 26)
    through = torch.cat([(ends - 1.0).unsqueeze(-1), ends.unsqueeze(-1) + steps], dim=-1)
    seen = render_intervals(fields, origins, directions, through)
    assert seen.opacity.min() > 0.99
    assert (seen.t - enters).abs().max() < 3e-3 and (leaves > ends + 0.05).all()
