"""Costs of offsets: compiled and plain agree, hidden neighbours do not vote, and the right offset costs least."""

import numpy as np
import pytest

from neus.kernels.surface_match import cpu, reference

FOCAL = 60.0


def pair(generator, n_others, height=61, width=83):
    """A view and neighbours beside it looking at a slanted plane with a smooth random texture, exactly rendered."""
    waves, phases = generator.uniform(-60, 60, (12, 2)), generator.uniform(0, 6, 12)
    plane = np.array([0.05, -0.1, 0.5])  # q.X = 1
    intrinsics = np.array([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1.0]])
    y, x = np.mgrid[:height, :width]
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(intrinsics).T
    centers = np.concatenate([[[0.0, 0.0, 0.0]], generator.uniform(-0.25, 0.25, (n_others, 3)) * [1, 1, 0.3]])
    inverse = [(rays @ plane) / (1.0 - center @ plane) for center in centers]
    images = []
    for center, w in zip(centers, inverse, strict=True):
        points = center + rays / w[..., None]
        images.append(128 + 100 * np.sin(points[..., :2] @ waves.T * 0.25 + phases).mean(axis=-1) * 2)
    images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    turns = np.repeat(np.eye(3)[None], n_others, axis=0)
    shifts = -centers[1:] @ intrinsics.T
    depths = 1.0 / np.array(inverse[1:])
    sizes = np.repeat([[height, width]], n_others, axis=0)
    asked = np.zeros((height, width), bool)
    asked[5:-5, 5:-5] = generator.uniform(size=asked[5:-5, 5:-5].shape) > 0.1
    asked[20:40, 30:] = False
    return dict(
        grey=images[0].astype(np.float32), inverse_depths=inverse[0].astype(np.float32), is_asked=asked, others=images[1:],
        other_depths=depths.astype(np.float32), sizes=sizes, turns=turns, shifts=shifts, step=0.06, n_offsets=3, window=7,
    )  # fmt: skip


@pytest.mark.parametrize("n_others", [1, 2, 5])
@pytest.mark.parametrize("window", [3, 7, 9])
def test_compiled_and_plain_agree(n_others, window):
    case = pair(np.random.default_rng(n_others), n_others) | {"window": window}
    case["other_depths"][0, 20:50, 10:40] = 1.0  # an occluder
    case["other_depths"][-1, :, 60:] = np.nan
    found, expected = (kernels.costs_of_offsets(**case).astype(int) for kernels in (cpu, reference))
    # Costs are rounded down, and a pixel on the edge of an occluder may fall to either side.
    assert (np.abs(found - expected) > 1).mean() < 1e-3
    assert (found == expected).mean() > 0.9


def test_images_of_different_sizes_are_each_their_own():
    case = pair(np.random.default_rng(1), 3)
    cut = case | {"sizes": np.array([[61, 83], [40, 50], [61, 83]])}
    filled = dict(cut, others=cut["others"].copy(), other_depths=cut["other_depths"].copy())
    filled["others"][1, 40:], filled["others"][1, :, 50:] = 255, 255
    np.testing.assert_array_equal(cpu.costs_of_offsets(**cut), cpu.costs_of_offsets(**filled))


def test_the_true_offset_costs_least_however_slanted_the_plane():
    case = pair(np.random.default_rng(2), 5)
    costs = cpu.costs_of_offsets(**case)
    seen = case["is_asked"] & (costs[..., 3] < 255)
    assert seen.mean() > 0.4
    # Costs are whole numbers, and where the texture is smooth several are 0.
    assert (costs[..., 3] <= costs.min(axis=-1) + 1)[seen].mean() > 0.98
    assert np.median(costs[..., 3][seen]) < 3 < 6 < np.median(costs[..., [0, 6]][seen])


def test_a_neighbour_before_whose_surface_something_stands_does_not_vote():
    case = pair(np.random.default_rng(3), 3)
    without = {key: case[key][:2] for key in ("others", "other_depths", "sizes", "turns", "shifts")}
    expected = cpu.costs_of_offsets(**(case | without))
    case["others"][2] = 255 - case["others"][2]
    assert (cpu.costs_of_offsets(**case) != expected).any()
    case["other_depths"][2] *= 0.9
    np.testing.assert_array_equal(cpu.costs_of_offsets(**case), expected)


def test_what_is_not_asked_or_seen_costs_most():
    case = pair(np.random.default_rng(4), 2)
    assert (cpu.costs_of_offsets(**case)[~case["is_asked"]] == 255).all()
    case["other_depths"][:] = 0.5
    assert (cpu.costs_of_offsets(**case) == 255).all()
    empty = {key: case[key][:0] for key in ("others", "other_depths", "sizes", "turns", "shifts")}
    assert (cpu.costs_of_offsets(**(case | empty)) == 255).all()


def test_depths_that_are_not_numbers_or_behind_the_camera_are_harmless():
    case = pair(np.random.default_rng(5), 2)
    case["inverse_depths"][::3, ::4] = np.nan
    case["inverse_depths"][1::5] = -3.0
    case["inverse_depths"][2::7] = 0.0
    cpu.costs_of_offsets(**case)
