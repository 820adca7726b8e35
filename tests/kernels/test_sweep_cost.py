import cv2
import numpy as np
import pytest

from neus.kernels.sweep_cost import cpu, reference

BOTH = pytest.mark.parametrize("kernels", [cpu, reference])


def texture(generator, height, width):
    return cv2.GaussianBlur(generator.integers(0, 256, (height, width), dtype=np.uint8), (5, 5), 1.2).reshape(height, width)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 2), (5, 1, 6), (23, 31, 5), (33, 40, 6), (4, 50, 1)])
def test_compiled_and_plain_agree_in_every_bit(shape):
    height, width, n_others = shape
    generator = np.random.default_rng(sum(shape))
    others = [texture(generator, height + n % 3, width + 2 * n) for n in range(n_others)]
    # Nearly the identity, so that most samples lie inside, some do not, and some planes lie behind a camera.
    scale = np.array([[0.02, 0.02, 3.0], [0.02, 0.02, 3.0], [2e-3, 2e-3, 0.1]])
    turns = np.eye(3) + scale * generator.normal(size=(n_others, 3, 3))
    parallaxes = generator.normal(size=(n_others, 3)) * [20.0, 20.0, 1.0]
    given = texture(generator, height, width), others, turns, parallaxes, np.linspace(1.0, 0.1, 7)
    np.testing.assert_array_equal(cpu.matching_cost(*given), reference.matching_cost(*given))


def least_cost(image):
    """Cost of windows that are alike: noise of two levels squared takes 2 / (variance + 2) from their correlation."""
    padded = np.lib.stride_tricks.sliding_window_view(np.pad(image, 2, "symmetric"), (5, 5))
    return 255.0 * 2.0 / (padded.var(axis=(2, 3)) + 2.0)


@BOTH
def test_a_plane_seen_twice_is_alike_at_its_own_depth_alone(kernels):
    # The neighbour stands to the right: the plane at inverse depth 0.5 moves by 20 * 0.5 = 10 pixels to the left.
    wide = texture(np.random.default_rng(0), 20, 60)
    given = wide[:, :40], [wide[:, 10:50]], np.eye(3)[None], np.array([[-20.0, 0.0, 0.0]]), np.linspace(1.0, 0.1, 19)
    cost = kernels.matching_cost(*given)
    inside = (slice(2, -2), slice(12, -2))
    np.testing.assert_allclose(cost[inside][..., 10], least_cost(wide[:, :40])[inside], atol=0.51)
    assert (cost[inside].argmin(axis=-1) == 10).all() and np.median(cost[inside]) > 200
    assert (cost[:, :10, 10] == 255).all(), "pixels that the neighbour does not see"


@BOTH
def test_costs_do_not_depend_on_exposure(kernels):
    image = texture(np.random.default_rng(1), 20, 30) // 2
    brighter = np.rint(image * 1.6 + 30.0).astype(np.uint8)
    cost = kernels.matching_cost(image, [brighter], np.eye(3)[None], np.zeros((1, 3)), np.ones(1))
    assert (cost[..., 0] <= least_cost(image) + 2.0).all()


@BOTH
def test_half_of_the_neighbours_suffice_and_flat_images_do_not_correlate(kernels):
    generator = np.random.default_rng(2)
    image, other = texture(generator, 12, 13), texture(generator, 12, 13)
    turns, still = np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 3))
    cost = kernels.matching_cost(image, [image, other, image, other], turns, still, np.ones(1))
    np.testing.assert_allclose(cost[..., 0], least_cost(image), atol=0.51)
    flat = np.full((12, 13), 90, np.uint8)
    assert (kernels.matching_cost(flat, [flat] * 4, turns, still, np.ones(1)) == 255).all()
