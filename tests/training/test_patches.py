from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import project
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.scenes.readers import read_scene
from neus.scenes.writers import write_idr
from neus.training.patches import PatchSampler
from neus.training.pixels import rays_at
from tests.scenes.layouts import ring_scene, write_blender


@pytest.fixture
def scene():
    return ring_scene([(40, 30), (20, 26), (31, 33)])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def places(scene, batch):
    """View, x and y (N,) of the pixels a batch was drawn from, found from its rays alone."""
    centers = scene.camera_to_scene[:, :3, 3].float()
    view = (batch.origins[:, None] - centers).norm(dim=-1).argmin(dim=-1)
    x, y = torch.zeros_like(view), torch.zeros_like(view)
    for v in range(len(scene)):
        of_view = view == v
        points = batch.origins[of_view] + 2.7 * batch.directions[of_view]
        pixels, depth = project(points.double(), scene.camera(v))
        assert (depth > 0).all()
        assert torch.allclose(pixels, pixels.floor() + 0.5, atol=1e-3)
        x[of_view], y[of_view] = pixels.floor().long().unbind(-1)
    return view, x, y


def test_rays_and_colors_are_those_of_single_pixels(scene):
    batch = PatchSampler(scene).draw(640, seeded())
    view, x, y = places(scene, batch)
    assert set(view.tolist()) == {0, 1, 2}
    for v in range(len(scene)):
        of_view = view == v
        expected = rays_at(scene, v, x[of_view], y[of_view]).to(torch.device("cpu"))
        assert torch.allclose(batch.origins[of_view], expected.origins, atol=1e-6)
        assert torch.allclose(batch.directions[of_view], expected.directions, atol=2e-7)
        assert torch.equal(batch.colors[of_view], expected.colors)
        assert torch.equal(batch.masks[of_view], expected.masks)
    assert {t.dtype for t in (batch.origins, batch.directions, batch.colors, batch.masks)} == {torch.float32}


def test_leveled_colors_are_those_of_the_common_exposure(scene):
    gains = torch.tensor([[1.0, 0.8, 1.2], [0.7, 0.7, 0.7], [1.3, 1.1, 0.9]])
    offsets = torch.tensor([[0.0, 0.05, -0.05], [0.1, 0.1, 0.1], [0.0, 0.0, 0.02]])
    plain, leveling = PatchSampler(scene), PatchSampler(scene)
    leveling.level(gains, offsets)
    before, after = (sampler.draw(642, seeded()) for sampler in (plain, leveling))
    view, _, _ = places(scene, before)
    assert torch.allclose(after.colors, ((before.colors - offsets[view]) / gains[view]).clamp(0.0, 1.0), atol=1e-6)
    assert torch.equal(after.directions, before.directions)


def test_the_color_that_fills_images_behind_the_object_is_not_leveled(scene):
    filled = [np.where(mask[..., None], image, 255).astype(np.uint8) for image, mask in zip(scene.images, scene.masks, strict=True)]
    sampler = PatchSampler(replace(scene, images=filled, background=torch.ones(3)))
    sampler.level(torch.full((3, 3), 1.3), torch.zeros(3, 3))
    batch = sampler.draw(2000, seeded())
    assert (batch.colors[batch.masks == 0.0] == 1.0).all() and (batch.colors[batch.masks > 0.0] < 1.0).any()


def test_masks_of_rays_are_the_alpha_channel_where_there_is_one(scene):
    generator = np.random.default_rng(0)
    alphas = [generator.integers(0, 256, mask.shape, dtype=np.uint8) for mask in scene.masks]
    batch = PatchSampler(replace(scene, alphas=alphas)).draw(640, seeded())
    view, x, y = places(scene, batch)
    drawn = [float(alphas[v][j, i]) / 255.0 for v, i, j in zip(view.tolist(), x.tolist(), y.tolist(), strict=True)]
    assert torch.allclose(batch.masks, torch.tensor(drawn))


def test_patches_are_squares_of_neighbours_within_one_image(scene):
    view, x, y = (p.reshape(-1, 3, 3) for p in places(scene, PatchSampler(scene, patch=3).draw(9 * 500, seeded())))
    assert (view == view[:, :1, :1]).all()
    assert (x - x[:, :, :1] == torch.arange(3)).all() and (y - y[:, :1] == torch.arange(3)[:, None]).all()
    sizes = torch.tensor([image.shape[:2] for image in scene.images])[view]
    assert (x >= 0).all() and (y >= 0).all() and (x < sizes[..., 1]).all() and (y < sizes[..., 0]).all()


def test_single_pixels_keep_their_shares(scene):
    sampler = PatchSampler(scene, patch=1, inside_fraction=0.6, near_fraction=0.3, near_pixels=60)
    n_rays = 20_000
    batch = sampler.draw(n_rays, seeded())
    view, x, y = places(scene, batch)
    inside = [torch.from_numpy(mask) for mask in scene.masks]
    sphere = [meets_sphere(scene, v) for v in range(len(scene))]
    n_inside, n_sphere = sum(int(m.sum()) for m in inside), sum(int(m.sum()) for m in sphere)
    # The third kind, one ray in ten, falls on mask pixels too.
    fraction = 0.6 + 0.1 * sum(int((s & m).sum()) for s, m in zip(sphere, inside, strict=True)) / n_sphere
    assert float(batch.masks.mean()) == pytest.approx(fraction, abs=0.015)
    # Within the masks each view is drawn as often as it has pixels there.
    for v in range(len(scene)):
        of_mask = (view == v) & (batch.masks > 0)
        assert int(of_mask.sum()) / float(batch.masks.sum()) == pytest.approx(int(inside[v].sum()) / n_inside, abs=0.02)
    # What lies beyond the ring comes from the third kind, and meets the sphere.
    hits = intersect_sphere(batch.origins, batch.directions, radius=1.001)[2]
    reach = [max(1.0, 60 * max(m.shape) / 800) for m in inside]
    for v in range(len(scene)):
        outside = (view == v) & (batch.masks == 0) & ~hits
        mask_y, mask_x = inside[v].nonzero().double().unbind(-1)
        gaps = torch.hypot(x[outside, None] - mask_x, y[outside, None] - mask_y).amin(dim=-1)
        assert (gaps <= reach[v] + 1e-6).all()


def meets_sphere(scene, view):
    camera = scene.camera(view)
    pixels = pixel_centers(camera.width, camera.height)
    return intersect_sphere(*rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene))[2]


def test_the_rest_is_uniform_over_the_pixels_that_meet_the_sphere(scene):
    view, x, y = places(scene, PatchSampler(scene, patch=1, inside_fraction=0, near_fraction=0).draw(100_000, seeded()))
    expected = torch.cat([meets_sphere(scene, v).flatten() for v in range(3)])
    starts = torch.tensor([0, 40 * 30, 40 * 30 + 20 * 26])
    widths = torch.tensor([40, 20, 31])
    counts = torch.bincount(starts[view] + y * widths[view] + x, minlength=len(expected))
    assert torch.equal(counts > 0, expected)
    mean = 100_000 / int(expected.sum())
    assert (counts[expected] - mean).abs().max() < 5.5 * mean**0.5


def test_without_masks_all_pixels_are_alike(scene):
    bare = replace(scene, masks=None)
    batch = PatchSampler(bare, patch=1).draw(100_000, seeded())
    view, x, y = places(scene, batch)
    counts = torch.bincount(view * 10_000 + y * 100 + x)
    counts, mean = counts[counts > 0], 100_000 / (40 * 30 + 20 * 26 + 31 * 33)
    assert batch.masks is None and len(counts) == 40 * 30 + 20 * 26 + 31 * 33
    assert (counts - mean).abs().max() < 5.5 * mean**0.5


def test_patches_prefer_no_side_of_their_anchor(scene):
    one_pixel = [np.zeros_like(mask) for mask in scene.masks]
    one_pixel[0][14, 21] = True
    batch = PatchSampler(replace(scene, masks=one_pixel), patch=4, inside_fraction=1.0, near_fraction=0.0).draw(
        16_000, seeded()
    )
    view, x, y = places(scene, batch)
    assert (view == 0).all() and float(batch.masks.sum()) == 1000
    assert (float(x.double().mean()), float(y.double().mean())) == pytest.approx((21.0, 14.0), abs=0.2)


def test_patches_stay_within_the_borders_and_reach_the_corners(scene):
    corners = [np.zeros_like(mask) for mask in scene.masks]
    for mask in corners:
        mask[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    batch = PatchSampler(replace(scene, masks=corners), inside_fraction=1.0, near_fraction=0.0).draw(4800, seeded())
    view, x, y = places(scene, batch)
    seen = set(zip(view.tolist(), x.tolist(), y.tolist(), strict=True))
    assert {(0, 0, 0), (0, 39, 29), (1, 19, 0), (2, 0, 32)} <= seen
    assert float(batch.masks.mean()) == pytest.approx(1 / 16)


def test_images_smaller_than_a_patch_repeat_their_border():
    tiny = ring_scene([(3, 2), (40, 30)])
    view, x, y = places(tiny, PatchSampler(replace(tiny, masks=None), patch=4).draw(16 * 400, seeded()))
    of_tiny = view == 0
    assert of_tiny.any() and x[of_tiny].max() == 2 and y[of_tiny].max() == 1


def test_kinds_without_pixels_leave_their_share_to_the_others(scene):
    full = [np.ones_like(mask) for mask in scene.masks]
    empty = [np.zeros_like(mask) for mask in scene.masks]
    without_ring = PatchSampler(replace(scene, masks=full), inside_fraction=0.5, near_fraction=0.5).draw(160, seeded())
    assert (without_ring.masks == 1).all()
    only_sphere = PatchSampler(replace(scene, masks=empty), patch=1).draw(1000, seeded())
    assert intersect_sphere(only_sphere.origins, only_sphere.directions, radius=1.001)[2].all()
    nothing_left = PatchSampler(replace(scene, masks=empty), inside_fraction=1.0, near_fraction=0.0).draw(160, seeded())
    assert len(nothing_left.colors) == 160 and (nothing_left.masks == 0).all()


def test_a_view_with_an_empty_mask_is_drawn_only_for_the_sphere(scene):
    masks = [scene.masks[0], np.zeros_like(scene.masks[1]), scene.masks[2]]
    view, _, _ = places(scene, PatchSampler(replace(scene, masks=masks), 1, 0.5, 0.5).draw(2000, seeded()))
    assert set(view.tolist()) == {0, 2}


def test_cameras_inside_the_sphere_meet_it_everywhere(scene):
    poses = scene.camera_to_scene.clone()
    poses[:, :3, 3] *= 0.2
    batch = PatchSampler(replace(scene, camera_to_scene=poses), 1, 0.0, 0.0).draw(50_000, seeded())
    assert len(torch.unique(batch.directions, dim=0)) == 40 * 30 + 20 * 26 + 31 * 33


def test_the_generator_alone_decides(scene):
    sampler, generator = PatchSampler(scene), seeded(3)
    first = sampler.draw(320, generator)
    state = generator.get_state()
    second = sampler.draw(320, generator)
    generator.set_state(state)
    again = PatchSampler(scene).draw(320, generator)
    assert torch.equal(second.directions, again.directions) and torch.equal(second.colors, again.colors)
    assert not torch.equal(first.directions, second.directions)


def test_any_number_of_rays_can_be_drawn(scene):
    assert [len(PatchSampler(scene).draw(n, seeded()).colors) for n in (1, 15, 16, 17, 100)] == [1, 15, 16, 17, 100]


@pytest.mark.parametrize("wrong", [{"patch": 0}, {"near_pixels": 0}, {"inside_fraction": -0.1}, {"near_fraction": 0.3}])
def test_impossible_settings_are_refused(scene, wrong):
    with pytest.raises(InputError, match="expected"):
        PatchSampler(scene, **wrong)


def test_pixels_of_a_scene_in_memory_are_shared_also_by_a_part_of_its_views(scene, tmp_path):
    for write in (write_idr, write_blender):
        whole = read_scene(write(scene, tmp_path / write.__name__))
        part = whole.subset([2, 0])
        shared, alone = PatchSampler(part), PatchSampler(unpacked(part))
        for view, image in enumerate(whole.images):
            assert np.shares_memory(image, shared._pixels.numpy()), view
        assert not np.shares_memory(whole.images[0], alone._pixels.numpy())
        for one, other in zip(
            vars(shared.draw(640, seeded())).values(), vars(alone.draw(640, seeded())).values(), strict=True
        ):
            assert torch.equal(one, other)


def test_other_masks_than_those_in_memory_are_drawn(scene, tmp_path):
    read = read_scene(write_blender(scene, tmp_path / "scene"))
    for changed in (replace(read, masks=[~mask for mask in read.masks], alphas=None), replace(read, alphas=None), read):
        batch, plain = PatchSampler(changed).draw(640, seeded()), PatchSampler(unpacked(changed)).draw(640, seeded())
        assert torch.equal(batch.masks, plain.masks) and torch.equal(batch.colors, plain.colors)


def unpacked(scene):
    """The same scene with arrays of its own."""
    layers = {name: getattr(scene, name) for name in ("images", "masks", "alphas")}
    return replace(
        scene, **{name: None if layer is None else [a.copy() for a in layer] for name, layer in layers.items()}
    )
