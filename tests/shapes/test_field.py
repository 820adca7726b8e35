"""A prior's shape is a field as any other: it is traced, rendered, meshed and measured by what the project has."""

import numpy as np
import torch

import neus
from neus.evaluation.surface import distances_to_mesh, surface_scores
from neus.fields.latent_sdf import LatentField
from neus.geometry.cameras import Camera
from neus.meshing.measures import mesh_facts
from neus.rendering.sphere_tracing import trace
from neus.shapes.exact_views import camera_around
from neus.shapes.measures import field_mesh
from neus.shapes.prior import load_prior
from neus.shapes.truth import data_of, truth_of


def grey(points, normals, directions, features):
    """One colour."""
    return torch.full_like(points, 0.5)


class Ball(torch.nn.Module):
    """A decoder of one ball, untruncated, that knows nothing beyond the cube."""

    def forward(self, codes, points):
        assert (points.abs() <= 1.0).all()
        return points.norm(dim=-1) - 0.5


def test_values_are_bounds_of_the_distance_everywhere():
    field = LatentField(Ball(), torch.zeros(2), 0.1)
    points = 6.0 * torch.rand(2000, 3) - 3.0
    exact = points.norm(dim=-1) - 0.5
    assert (field.sdf(points) <= exact.clamp_min(-0.1) + 1e-6).all() and torch.isclose(field.sdf(torch.zeros(3)), torch.tensor(-0.1))
    assert torch.equal(field.sdf(points) > 0, exact > 0)
    far = points[points.abs().amax(dim=-1) > 2.0]
    assert (field.sdf(far) > 0.9).all()
    gradients = field.gradient(torch.tensor([[0.55, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.5, 1.5, 0.2]]))
    assert gradients.isfinite().all()
    torch.testing.assert_close(gradients[:2], torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))


def test_rays_meet_the_surface_that_is_meshed(bottle_run):
    prior = load_prior(bottle_run)
    field = prior.field(prior.codes[0])
    origins = torch.tensor([[2.5, 0.02, -0.3], [0.03, -2.5, -0.4], [2.5, 2.5, 2.5]])
    directions = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = trace(field.sdf, origins, directions, torch.zeros(3), torch.full((3,), 5.0), lipschitz=1.3)
    assert found.hit.tolist() == [True, True, False]
    mesh = field_mesh(field, 80)
    at = (origins + found.t.unsqueeze(1) * directions)[found.hit].numpy()
    assert distances_to_mesh(at.astype(np.float64), mesh).max() < 2e-3
    assert mesh_facts(mesh).is_watertight


def test_it_is_measured_and_rendered_as_any_field(bottle_run):
    prior = load_prior(bottle_run)
    field, truth = prior.field(prior.codes[0]), truth_of(data_of(prior), prior.names[0])
    scores = surface_scores(field_mesh(field, 64), truth.surface(4000, 0), n_samples=4000)
    assert scores.completeness < 0.02
    camera = camera_around(0.0, elevation=0.0, size=17)
    model = neus.Model(surface=field, color=grey, sharpness=500.0)
    model.scene_to_world = torch.eye(4, dtype=torch.float64)
    model.config = neus.ModelConfig(neus_renderer=type(model.config.neus_renderer)(n_outside=0))
    with torch.no_grad():
        seen = neus.render(model, Camera(camera.intrinsics, camera.camera_to_scene, 17, 17), mode="volume")
    radius = truth.facts["parameters"]["radius"] * truth.facts["scale"]
    # The camera looks at the middle of the bottle's side, or at its shoulder.
    assert 2.5 - radius - 0.05 < float(seen.depth[8, 8]) < 2.5
