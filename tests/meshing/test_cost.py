import pytest
import torch

from neus.meshing.cost import (
    FIXED_POINTS,
    SPHERE_POINTS,
    SPHERE_VERTICES,
    MeshCost,
    measured_mesh_cost,
)
from neus.meshing.of_model import surface_mesh
from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene


class Counting:
    """A clock that goes one second with each look."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def model(tiny_config, scene_folder):
    return model_for_scene(tiny_config, read_scene(scene_folder))


def test_points_and_vertices_of_a_fine_mesh_are_foreseen_from_a_coarse_one(model, monkeypatch):
    cost, n_points, sdf = measured_mesh_cost(model), [0], model.sdf
    monkeypatch.setattr(model, "sdf", lambda p: (n_points.__setitem__(0, n_points[0] + len(p)), sdf(p))[1])
    mesh = surface_mesh(model, 160)
    assert cost.vertices * 160**2 == pytest.approx(len(mesh.vertices), rel=0.1)
    # The estimate may be too high, a coarse lattice passes over less; too low would end after the time.
    assert 0.9 < (cost.points * 160**2 + FIXED_POINTS) / n_points[0] < 2.0


def test_the_time_of_one_is_the_time_of_many_divided(model):
    cost = measured_mesh_cost(model, clock=Counting())
    assert (cost.point, cost.gradient, cost.color) == (2.0**-15, 2.0**-12, 2.0**-12)


@pytest.mark.parametrize("patience", [0.0, float("inf")])
def test_without_a_surface_or_the_time_to_look_for_it_a_large_sphere_is_assumed(model, patience):
    if patience:
        with torch.no_grad():
            model.sdf_network.lin2.bias.add_(100.0)
    cost = measured_mesh_cost(model, patience)
    assert (cost.points, cost.vertices) == (SPHERE_POINTS, SPHERE_VERTICES)


def test_looking_at_the_cost_leaves_model_and_random_state_alone(model):
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    measured_mesh_cost(model)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_the_finest_resolution_that_fits_is_taken():
    cost = MeshCost(18.0, 3.7, 1e-6, 4e-6, 5e-6)
    for seconds in (0.0, 2.0, 5.0, 10.0, 1000.0):
        resolution = cost.resolution_within(seconds, 512)
        assert resolution == 128 or cost.seconds(resolution) <= seconds
        assert resolution == 512 or cost.seconds(resolution + 32) > seconds
