"""Plain backgrounds are found by the colour of all borders, and nothing of an ordinary scene is taken for one."""

import numpy as np

from neus.stereo.plain_background import plain_background
from tests.stereo.sphere_views import SIZE, views_around


def images(background, n=6, object_value=150, noise=2.0, seed=0):
    """A noisy disc before a plain colour, with a hole of that colour in it."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = np.hypot(rows, columns)
    found = []
    for _ in range(n):
        image = np.where(
            (radius < 20)[..., None], object_value + generator.normal(size=(SIZE, SIZE, 3)) * 20, background
        )
        image = np.where((radius < 5)[..., None], background, image) + generator.normal(size=(SIZE, SIZE, 3)) * noise
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return found, radius


def test_black_cloth_and_white_paper_are_seen_through_and_holes_without_way_out_are_not():
    for background in ((6.0, 6.0, 6.0), (250.0, 248.0, 240.0), (40.0, 90.0, 60.0)):
        rgb, radius = images(background)
        found = plain_background(views_around(6, rgb))
        for seen_through in found:
            assert seen_through[radius > 23].mean() > 0.99
            assert not seen_through[radius < 20].any()


def test_an_object_may_reach_over_the_border_of_some_images():
    rgb, _ = images((5.0, 5.0, 5.0))
    rgb[0][:, 20:] = 160
    found = plain_background(views_around(6, rgb))
    assert found is not None and not found[0][:, 20:].any() and found[0][:, :10].all()


def test_ordinary_scenes_have_none():
    generator = np.random.default_rng(1)
    noise = [generator.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8) for _ in range(4)]
    assert plain_background(views_around(4, noise)) is None
    # Each image is plain, but they do not share the colour.
    walls = [np.full((SIZE, SIZE, 3), 40 * i, np.uint8) for i in range(6)]
    assert plain_background(views_around(6, walls)) is None
    slope = [np.tile(np.linspace(0, 255, SIZE)[:, None, None], (1, SIZE, 3)).astype(np.uint8)] * 4
    assert plain_background(views_around(4, slope)) is None
    assert plain_background([]) is None
