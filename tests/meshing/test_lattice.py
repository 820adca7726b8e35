import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry import shapes
from neus.meshing.lattice import BoundTooSmall, Lattice, Sampler, sampled_blocks, slope_bound

BOX = 1.01 * torch.tensor([[-1.0] * 3, [1.0] * 3])


def torus(points):
    return shapes.torus(points, 0.6, 0.25)


def whole_lattice(sdf, lattice):
    indices = np.stack(np.meshgrid(*[np.arange(lattice.resolution)] * 3, indexing="ij"), -1)
    return Sampler(sdf, lattice)(indices.reshape(-1, 3)).reshape(indices.shape[:3])


def assembled(sampler, bound):
    n = sampler.lattice.resolution
    values, is_known = np.full((n, n, n), np.nan, np.float32), np.zeros((n, n, n), bool)
    for block in sampled_blocks(sampler, bound):
        inner = tuple(slice(s, s + c) for s, c in zip(block.start, block.values.shape))
        values[inner] = np.where(block.is_known, block.values, np.where(is_known[inner], values[inner], block.values))
        is_known[inner] |= block.is_known
    return values, is_known


def test_positions_run_from_corner_to_corner_along_each_axis():
    lattice = Lattice(torch.tensor([[-1.0, 0.0, 2.0], [1.0, 3.0, 2.5]]), 7)
    np.testing.assert_allclose(lattice.positions(np.array([0, 0, 0])), [-1.0, 0.0, 2.0])
    np.testing.assert_allclose(lattice.positions(np.array([6, 6, 6])), [1.0, 3.0, 2.5])
    np.testing.assert_allclose(lattice.spacing, [2 / 6, 3 / 6, 0.5 / 6])


@pytest.mark.parametrize(("resolution", "block"), [(53, 16), (53, 64), (25, 2), (34, 4)])
def test_blocks_have_the_signs_of_the_whole_lattice_and_its_values_around_the_surface(resolution, block):
    lattice = Lattice(BOX, resolution, block)
    truth = whole_lattice(torus, lattice)
    values, is_known = assembled(Sampler(torus, lattice), bound=1.05)
    np.testing.assert_array_equal(values < 0, truth < 0)
    # Batches of another size round differently in the last bit.
    np.testing.assert_allclose(values[is_known], truth[is_known], atol=1e-6)
    for axis in range(3):
        changes = np.diff((truth < 0).astype(int), axis=axis) != 0
        lower, upper = np.split(np.take(is_known, [*range(resolution - 1), *range(1, resolution)], axis), 2, axis)
        assert (lower & upper)[changes].all()


def test_the_number_of_evaluations_grows_with_the_area_of_the_surface():
    counts = []
    for resolution in (65, 129, 257):
        n_points = 0

        def counted(points):
            nonlocal n_points
            n_points += len(points)
            return torus(points)

        for _ in sampled_blocks(Sampler(counted, Lattice(BOX, resolution)), bound=1.05):
            pass
        counts.append(n_points)
    assert counts[1] / counts[0] < 4.5 and counts[2] / counts[1] < 4.5
    assert counts[2] < 0.06 * 257**3


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_slope_bound_lies_a_little_above_the_slope_of_a_scaled_distance(scale):
    def field(points):
        return scale * torus(points)

    lattice = Lattice(BOX, 64)
    assert scale < slope_bound(field, lattice) < 1.4 * scale

    def gradient(points):
        points = points.clone().requires_grad_()
        return torch.autograd.grad(field(points).sum(), points)[0]

    assert scale < slope_bound(field, lattice, gradient) < 1.4 * scale


def test_a_field_that_is_steep_only_at_its_surface_is_known_to_be_steep():
    def field(points):
        return 0.1 * torch.tanh(30.0 * shapes.sphere(points, 0.5))

    assert slope_bound(field, Lattice(BOX, 64)) > 3.0


def test_too_small_a_bound_is_noticed_where_a_surface_runs_into_space_that_was_passed_over():
    with pytest.raises(BoundTooSmall):
        for _ in sampled_blocks(Sampler(lambda p: 10.0 * shapes.sphere(p, 0.6), Lattice(BOX, 65, 16)), bound=1.0):
            pass


def test_no_call_of_the_field_exceeds_the_chunk():
    longest = 0

    def field(points):
        nonlocal longest
        longest = max(longest, len(points))
        return torus(points)

    for _ in sampled_blocks(Sampler(field, Lattice(BOX, 65), chunk=1000), bound=1.05):
        pass
    assert longest == 1000


def test_progress_counts_all_blocks():
    calls = []
    for _ in sampled_blocks(
        Sampler(torus, Lattice(BOX, 50, 16)), 1.05, lambda done, total: calls.append((done, total))
    ):
        pass
    assert calls == [(i + 1, 64) for i in range(64)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_field_that_is_not_a_number_is_named_with_its_place(value):
    def field(points):
        return torch.where(points[:, 0] > 0.5, value, torus(points))

    with pytest.raises(InputError, match=r"signed distance at \[0\.\d+, .*NaN or infinite"):
        for _ in sampled_blocks(Sampler(field, Lattice(BOX, 33, 16)), 1.05):
            pass
