import numpy as np
import pytest

from neus.kernels.semi_global import cpu, reference

SHAPES = [(1, 1, 1), (7, 9, 5), (3, 4, 1), (5, 6, 2), (4, 1, 33), (1, 6, 40), (11, 13, 65)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalties", [(14, 110), (0, 1), (300, 7000)])
def test_compiled_and_plain_agree_in_every_bit(shape, penalties):
    generator = np.random.default_rng(sum(shape))
    cost = generator.integers(0, 256, shape, dtype=np.uint8)
    grey = generator.uniform(0, 255, shape[:2]).astype(np.float32)
    total, expected = (kernels.aggregate(cost, grey, *penalties) for kernels in (cpu, reference))
    np.testing.assert_array_equal(total, expected)
    for found, plain in zip(*(k.subpixel_minimum(total) for k in (cpu, reference)), strict=True):
        np.testing.assert_array_equal(found, plain)


def test_costs_equal_for_all_labels_are_only_added_up():
    cost = np.random.default_rng(0).integers(0, 256, (9, 8, 1), dtype=np.uint8).repeat(7, axis=2)
    np.testing.assert_array_equal(cpu.aggregate(cost, np.zeros((9, 8), np.float32), 14, 110), 8 * cost.astype(np.uint16))


def test_mirroring_the_image_or_the_labels_mirrors_the_result():
    generator = np.random.default_rng(1)
    cost, grey = generator.integers(0, 256, (8, 9, 10), dtype=np.uint8), generator.uniform(0, 99, (8, 9)).astype(np.float32)
    total = cpu.aggregate(cost, grey, 10, 60)
    np.testing.assert_array_equal(cpu.aggregate(cost[::-1], grey[::-1], 10, 60), total[::-1])
    np.testing.assert_array_equal(cpu.aggregate(cost[:, ::-1], grey[:, ::-1], 10, 60), total[:, ::-1])
    np.testing.assert_array_equal(cpu.aggregate(cost[..., ::-1], grey, 10, 60), total[..., ::-1])


def test_a_total_lies_between_eight_costs_and_eight_jumps_above_them():
    cost = np.random.default_rng(2).integers(0, 256, (9, 9, 12), dtype=np.uint8)
    smoothness = cpu.aggregate(cost, np.zeros((9, 9), np.float32), 10, 60) - 8 * cost.astype(np.int64)
    assert smoothness.min() >= 0 and smoothness.max() <= 8 * 60


def test_a_slanted_plane_is_found_through_noise_and_where_nothing_is_measured():
    # The plane's label is 4 + 0.3 x: the cost is 40 |d - label|, with a third of the pixels without any evidence.
    generator = np.random.default_rng(3)
    labels = 4.0 + 0.3 * np.arange(40) + np.zeros((30, 1))
    cost = np.minimum(40.0 * abs(np.arange(24) - labels[..., None]), 200.0)
    cost[generator.random((30, 40)) < 0.33] = 100.0
    cost += generator.uniform(0, 30, cost.shape)
    total = cpu.aggregate(cost.astype(np.uint8), np.full((30, 40), 90, np.float32), 14, 110)
    label, offset = cpu.subpixel_minimum(total)
    error = label + offset - labels
    assert abs(error).max() < 1.5 and np.median(abs(error)) < 0.25


def test_labels_jump_at_an_edge_of_the_image():
    # Two halves of label 2 and 9 with an uncertain strip of ten pixels between: the jump goes to the edge at column 22.
    cost = np.full((20, 40, 12), 60, np.uint8)
    cost[:, :15, 2], cost[:, 25:, 9] = 0, 0
    grey = np.zeros((20, 40), np.float32)
    grey[:, 22:] = 120.0
    labels, _ = cpu.subpixel_minimum(cpu.aggregate(cost, grey, 14, 110))
    assert (labels[:, :22] == 2).all() and (labels[:, 22:] == 9).all()


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_a_parabola_has_its_own_minimum_and_the_ends_are_unknown(kernels):
    minima = np.array([[1.0, 2.4, 3.3, 0.1, 5.9]])
    total = np.rint(1000.0 * (np.arange(7) - minima[..., None]) ** 2).astype(np.uint16)
    labels, offsets = kernels.subpixel_minimum(total)
    np.testing.assert_allclose((labels + offsets)[0, :3], minima[0, :3], atol=1e-3)
    assert labels[0, 3:].tolist() == [0, 6] and np.isnan(offsets[0, 3:]).all()


def test_penalties_that_do_not_fit_are_refused():
    for p1, p2 in ((5, 5), (-1, 3), (10, 8000)):
        with pytest.raises(ValueError, match="expected 0 <= p1 < p2"):
            cpu.aggregate(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1), np.float32), p1, p2)
