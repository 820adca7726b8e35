from dataclasses import replace

import numpy as np
import pytest

from tests.checks.alterations import found_in


def with_images(scene, change, views):
    return replace(scene, images=[change(im) if v in views else im for v, im in enumerate(scene.images)])


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda image: (image / 16).astype(np.uint8), "images_dark", "12"),
        (lambda image: np.full_like(image, 255), "images_flat", "floating-point"),
        (lambda image: np.full_like(image, 0), "images_flat", "export"),
        (
            lambda image: np.where(np.arange(240)[:, None] < 30, image, 255).astype(np.uint8),
            "images_saturated",
            "lower",
        ),
    ],
    ids=["12 bits in 16", "clipped", "black", "overexposed"],
)
@pytest.mark.parametrize("views", [range(24), (4,)], ids=["all", "one"])
def test_images_that_files_of_other_depths_become_are_named(right, change, kind, said, views):
    finding = found_in(with_images(right, change, views), fast=True)[kind]
    assert finding.views == tuple(views) and said in finding.suggestion
    assert ("dataset.exclude" in finding.suggestion) == (len(views) == 1)


def test_a_white_background_is_not_overexposed(right):
    on_white = [np.where(m[..., None], i, 255).astype(np.uint8) for i, m in zip(right.images, right.masks, strict=True)]
    for masks in (right.masks, None):
        found = found_in(replace(right, images=on_white, masks=masks), fast=True)
        assert not {kind for kind in found if kind.startswith("images")}


def test_a_dark_background_is_not_dark(right):
    on_black = [np.where(m[..., None], i, 0).astype(np.uint8) for i, m in zip(right.images, right.masks, strict=True)]
    found = found_in(replace(right, images=on_black, masks=None), fast=True)
    assert not {kind for kind in found if kind.startswith("images")}
