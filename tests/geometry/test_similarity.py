import math

import pytest
import torch

from neus.geometry.poses import invert, rotation_from_vector
from neus.geometry.similarity import is_similarity, scale_of, similarity, transform_points

ROTATION = rotation_from_vector(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64))
SHIFT = torch.tensor([3.0, -5.0, 11.0], dtype=torch.float64)


def random_points(*shape):
    return torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 250.0])
def test_points_are_turned_then_scaled_then_moved(scale):
    points = random_points(20)
    moved = transform_points(similarity(scale, SHIFT, ROTATION), points)
    torch.testing.assert_close(moved, scale * points @ ROTATION.T + SHIFT)


def test_the_inverse_brings_points_back():
    points, matrix = random_points(4, 5), similarity(7.0, SHIFT, ROTATION)
    torch.testing.assert_close(transform_points(invert(matrix), transform_points(matrix, points)), points)


def test_one_after_the_other_is_the_product():
    one, other, points = similarity(2.0, SHIFT, ROTATION), similarity(0.3, -SHIFT, ROTATION.T), random_points(9)
    torch.testing.assert_close(
        transform_points(other @ one, points), transform_points(other, transform_points(one, points))
    )


def test_distances_grow_by_the_scale():
    matrix, points = similarity(4.0, SHIFT, ROTATION), random_points(2)
    moved = transform_points(matrix, points)
    assert float((moved[0] - moved[1]).norm() / (points[0] - points[1]).norm()) == pytest.approx(4.0)
    assert scale_of(matrix) == pytest.approx(4.0)


def test_points_keep_their_dtype_and_shape():
    moved = transform_points(similarity(4.0, SHIFT), random_points(2, 3, 4).float())
    assert moved.dtype == torch.float32 and moved.shape == (2, 3, 4, 3)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_similarities_are_distinguished_from_other_maps_at_any_scale(scale):
    good = similarity(scale, SHIFT, ROTATION)
    assert is_similarity(good)
    for stretch in ([1.0, 1.0, -1.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.01], [1.0, 2.0, 1.0], [1.0, 1.0, 0.0]):
        assert not is_similarity(good @ torch.diag(torch.tensor([*stretch, 1.0], dtype=torch.float64)))
    shear = torch.eye(4, dtype=torch.float64)
    shear[0, 1] = 0.1
    assert not is_similarity(good @ shear)


def test_a_zero_matrix_is_no_similarity():
    assert not is_similarity(torch.zeros(4, 4)) and scale_of(torch.zeros(4, 4)) == 0.0


def test_without_a_rotation_axes_stay():
    assert math.isclose(float(similarity(3.0, SHIFT)[0, 0]), 3.0)
    assert torch.equal(similarity(3.0, SHIFT)[:3, :3], 3.0 * torch.eye(3, dtype=torch.float64))
