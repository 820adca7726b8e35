"""The closed-form families: distances of slope one whose zero set is where they say, closed, and of the right topology."""

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.meshing.extract import extract_mesh
from neus.meshing.measures import mesh_facts
from neus.shapes.data_folder import pulled_points
from neus.shapes.families import FAMILIES, FARTHEST, draw_parameters, family_shape

CUBE = torch.tensor([[-1.0] * 3, [1.0] * 3])
EULER = {"mug": 0, "bottle": 2, "table": 2}
STEP = 1e-5


@pytest.fixture(params=FAMILIES)
def shape(request):
    return family_shape(request.param, draw_parameters(request.param, np.random.default_rng(11)))


def slopes(shape, points):
    steps = STEP * torch.eye(3, dtype=torch.float64)
    return torch.stack([shape.sdf(points + step) - shape.sdf(points - step) for step in steps], dim=-1) / (2.0 * STEP)


def test_the_slope_is_one_and_the_step_to_the_surface_arrives(shape):
    points = 2.0 * torch.rand(20_000, 3, dtype=torch.float64) - 1.0
    f, gradients = shape.sdf(points), slopes(shape, points)
    near = gradients.norm(dim=-1)[f.abs() < 0.1]
    assert np.quantile(near.numpy(), [0.005, 0.995]) == pytest.approx([1.0, 1.0], abs=1e-3)
    landed = shape.sdf(points - f.unsqueeze(1) * gradients).abs()
    assert float(landed.quantile(0.985)) < 1e-5


def test_shapes_are_closed_centred_and_reach_as_far_as_normalised_meshes(shape):
    mesh = extract_mesh(shape.sdf, CUBE, 96)
    facts = mesh_facts(mesh)
    assert facts.is_watertight and facts.components == 1
    arms = shape.parameters.get("arms", 0.0)
    assert mesh.euler_number == EULER.get(shape.family, -2 if arms else 2)
    assert np.abs(mesh.bounds.mean(axis=0)).max() < 0.01
    on_surface = pulled_points(shape, 30_000, np.random.default_rng(0))
    assert FARTHEST - 0.03 < np.linalg.norm(on_surface, axis=1).max() < FARTHEST + 1e-4


def test_the_inside_is_negative(shape):
    inside = {"mug": None, "bottle": (0.0, 0.0, 0.0)}.get(shape.family)
    points = pulled_points(shape, 500, np.random.default_rng(1))
    outwards = slopes(shape, torch.from_numpy(points)).numpy()
    assert (shape.sdf(torch.from_numpy(points + 0.005 * outwards)).numpy() > 0).all()
    assert (shape.sdf(torch.from_numpy(points - 0.005 * outwards)).numpy() < 0).mean() > 0.99
    if inside:
        assert float(shape.sdf(torch.tensor(inside))) < 0


def test_arms_make_two_holes():
    parameters = {"width": 0.5, "depth": 0.5, "seat": 0.4, "back": 0.5, "leg": 0.06}
    for arms, expected in ((0.0, 2), (1.0, -2)):
        mesh = extract_mesh(family_shape("chair", parameters | {"arms": arms}).sdf, CUBE, 96)
        assert mesh.euler_number == expected


def test_parameters_lie_in_their_ranges_and_an_unknown_family_is_one_line():
    generator = np.random.default_rng(0)
    for family, known in FAMILIES.items():
        drawn = draw_parameters(family, generator)
        assert all(low <= drawn[name] <= high for name, (low, high) in known.ranges.items())
    with pytest.raises(InputError, match="family 'spoon': expected one of mug, bottle, table, chair"):
        draw_parameters("spoon", generator)
