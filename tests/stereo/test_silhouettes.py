"""Removed parts of the hull come back where masks miss them, and free space does not."""

import numpy as np

from neus.stereo.silhouettes import with_silhouettes
from tests.stereo.sphere_views import SIZE, lattice, views_around

RESOLUTION = 40
POINTS = lattice(RESOLUTION)
BALL = np.linalg.norm(POINTS, axis=0) - 0.4
ROD = np.maximum(np.hypot(POINTS[0], POINTS[1]) - 0.08, abs(POINTS[2]) - 0.8)


def masks_of(values):
    """Masks of all vertices of negative value, each a square wider than a step."""
    masks = []
    for view in views_around():
        points = POINTS[:, values < 0]
        projected = view.matrix[:, :3] @ points + view.matrix[:, 3:]
        columns, rows = np.rint(projected[:2] / projected[2]).astype(int)
        mask = np.zeros((SIZE, SIZE), bool)
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                mask[np.clip(rows + i, 0, SIZE - 1), np.clip(columns + j, 0, SIZE - 1)] = True
        masks.append(mask)
    return masks


def test_a_rod_that_was_removed_comes_back_and_most_of_what_masks_do_not_need_stays_free():
    hull = np.minimum(np.minimum(BALL, ROD), np.linalg.norm(POINTS, axis=0) - 0.5).astype(np.float32)
    found = with_silhouettes(BALL.astype(np.float32), hull, views_around(masks=masks_of(np.minimum(BALL, ROD))))
    assert (found[(ROD < 0) & (abs(POINTS[2]) > 0.55)] < 0).all()
    shell = (BALL >= 0) & (hull < 0) & (ROD > 0.2)
    # Where rays to the bare rod of three views cross, space comes back that is not needed.
    assert (found[shell] >= 0).mean() > 0.9
    assert np.array_equal(found[BALL < 0], BALL.astype(np.float32)[BALL < 0])


def test_a_shape_that_fills_its_masks_and_views_without_masks_change_nothing():
    values, hull = BALL.astype(np.float32), (BALL - 0.1).astype(np.float32)
    assert np.array_equal(with_silhouettes(values, hull, views_around(masks=masks_of(BALL))), values)
    assert np.array_equal(with_silhouettes(values, hull, views_around()), values)
    empty = [np.zeros((SIZE, SIZE), bool)] * 24
    assert np.array_equal(with_silhouettes(values, hull, views_around(masks=empty)), values)
