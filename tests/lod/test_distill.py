"""A distilled pyramid is the surface it was made from, the finer the closer."""

import pytest
import torch

from neus.errors import InputError
from neus.geometry import shapes
from neus.lod.distill import DistillConfig, distilled
from neus.lod.lattice import cells_of_level, positions_of_codes
from neus.lod.octree import codes_of_cells, near_cells
from neus.lod.teacher import Teacher
from tests.lod.conftest import torus


def sphere(points):
    return shapes.sphere(points, 0.6)


def points_near(function, band, n=60_000):
    points = 2.0 * torch.rand(n, 3) - 1.0
    return points[function(points).abs() < band]


def test_every_cell_that_the_surface_meets_is_stored_and_far_ones_are_not():
    cells = near_cells(torus, 1.0, 2, 5)
    assert cells[:3] == [None, None, None]
    points = points_near(torus, 0.05)
    slopes = torch.nn.functional.normalize(points, dim=1)
    for level in (3, 4):
        n = cells_of_level(2, level)
        stored = {tuple(cell) for cell in cells[level].tolist()}
        assert len(stored) < 0.35 * n**3
        # Points of the surface: the middle circle of the torus' section, turned about z.
        angles = 2 * torch.pi * torch.rand(2, len(slopes))
        ring = 0.55 + 0.22 * angles[1].cos()
        surface = torch.stack([ring * angles[0].cos(), ring * angles[0].sin(), 0.22 * angles[1].sin()], dim=1)
        met = ((surface + 1.0) / 2.0 * n).long().tolist()
        assert {tuple(cell) for cell in met} <= stored
        # One ring more: all neighbours of what is met.
        assert {(x + 1, y, z - 1) for x, y, z in met} <= stored


def test_without_steps_a_level_is_the_distance_at_its_corners():
    field = distilled(Teacher(sphere), DistillConfig(n_levels=4, n_channels=2, steps=0))
    for level, lattice in enumerate(field.lattices):
        corners = positions_of_codes(lattice.codes, lattice.cells)
        # Half precision of the differences between fine lattices.
        assert (field.published_sdf(corners, level) - sphere(corners)).abs().max() < 1e-4


def test_levels_come_closer_one_by_one(torus_levels):
    points = points_near(torus, 0.05)
    errors = (torus_levels.all_sdf(points) - torus(points)).abs().mean(1)
    assert (errors.diff() < 0).all() and errors[-1] < 1e-3
    assert torch.allclose(torus_levels.errors, errors, rtol=0.1)


def test_steps_lower_the_error_of_coarse_levels(torus_levels):
    config = DistillConfig(n_levels=4, n_channels=8, steps=0)
    before = distilled(Teacher(torus), config).errors
    assert (torus_levels.errors[:3] < 0.6 * before[:3]).all()


def test_signs_and_slopes_hold_everywhere_in_the_cube(torus_levels):
    points = 2.0 * torch.rand(40_000, 3) - 1.0
    field, wanted = torus_levels.at(3), torus(points)
    agree = (field.sdf(points) < 0) == (wanted < 0)
    assert agree.float().mean() > 0.999 and wanted[~agree].abs().max() < 0.01
    slopes = field.evaluate(points).gradients.norm(dim=1)
    assert (slopes <= field.slope).float().mean() > 0.99 and field.slope < 1.5


def test_the_same_seed_gives_the_same_numbers():
    made = [distilled(Teacher(sphere), DistillConfig(n_levels=3, n_channels=2, steps=3, seed=s)) for s in (1, 1, 2)]
    first, again, other = ([p.clone() for p in field.parameters()] for field in made)
    assert all(map(torch.equal, first, again)) and not all(map(torch.equal, first, other))


def test_colors_are_those_of_the_teacher():
    teacher = Teacher(sphere, color=lambda points: points * 0.5 + 0.5)
    field = distilled(teacher, DistillConfig(n_levels=4, n_channels=2, steps=0), with_color=True)
    points = torch.nn.functional.normalize(torch.randn(500, 3), dim=1) * 0.6
    for level in (0, 1.5, 3):
        assert (field.rgb(points, level) - (points * 0.5 + 0.5)).abs().max() < 2e-3


def test_levels_between_are_blends_and_whole_ones_are_themselves(torus_levels):
    points = 2.0 * torch.rand(500, 3) - 1.0
    at = {level: torus_levels.at(level).sdf(points) for level in (1, 1.25, 2)}
    assert torch.allclose(at[1.25], 0.75 * at[1] + 0.25 * at[2], atol=1e-6)
    assert torch.equal(torus_levels.at(2.0).sdf(points), torus_levels.published_sdf(points, 2))


@pytest.mark.parametrize("level", [0.0, 1.6, 3.0])
def test_gradients_are_those_of_autograd_also_beyond_the_cube(torus_levels, level):
    points = (3.0 * torch.rand(300, 3) - 1.5).requires_grad_()
    field = torus_levels.at(level)
    (wanted,) = torch.autograd.grad(field.sdf(points).sum(), points)
    found = field.evaluate(points.detach())
    assert torch.allclose(found.gradients, wanted, atol=1e-4)
    assert torch.allclose(found.sdf, field.sdf(points), atol=1e-6)


def test_what_cannot_be_distilled_is_said_in_one_line():
    with pytest.raises(InputError, match=r"far: no surface in \[-1, 1\]\^3: all of its corners lie outside .* from 3"):
        distilled(Teacher(lambda p: p.norm(dim=-1) + 3.0, name="far"), DistillConfig(n_levels=4, steps=0))
    with pytest.raises(InputError, match="bad: some signed distances are NaN"):
        distilled(Teacher(lambda p: p[:, 0] * torch.nan, name="bad"), DistillConfig(steps=0))
    with pytest.raises(InputError, match="plain: has no colours; leave out --color"):
        distilled(Teacher(sphere, name="plain"), DistillConfig(steps=0), with_color=True)
    with pytest.raises(InputError, match="9 levels from 4 to 1024 cells"):
        DistillConfig(n_levels=9)


def test_corners_of_cells_are_those_around_them():
    codes = codes_of_cells(torch.tensor([[0, 0, 0], [1, 0, 0]]), 4)
    assert codes.tolist() == [0, 1, 2, 5, 6, 7, 25, 26, 27, 30, 31, 32]
