import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.geometry.cameras import Camera, project
from neus.geometry.poses import look_at
from neus.meshing.clean import clip_to_masks, cropped, largest_component, with_faces, without_floaters


def ball(radius, center=(0.0, 0.0, 0.0), subdivisions=3):
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    mesh.apply_translation(center)
    return mesh


def together(*meshes):
    return trimesh.util.concatenate(meshes)


def cameras_around(n=6, size=120):
    intrinsics = torch.tensor([[1.2 * size, 0.0, size / 2], [0.0, 1.2 * size, size / 2], [0.0, 0.0, 1.0]]).double()
    angles = torch.arange(n).double() * 2 * torch.pi / n
    centers = 3 * torch.stack([torch.cos(angles), torch.sin(angles), 0.3 * torch.ones(n)], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0]).double()
    return [Camera(intrinsics, look_at(c, torch.zeros(3).double(), up), size, size) for c in centers]


def mask_of_ball(camera, radius):
    """Exact: a pixel sees the ball if its ray passes within the radius."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    pixels = np.stack([x, y, np.ones_like(x)], -1)
    rays = pixels @ torch.linalg.inv(camera.intrinsics).numpy().T @ camera.camera_to_scene[:3, :3].numpy().T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    center = camera.center.numpy()
    return np.linalg.norm(center - (rays @ center)[..., None] * rays, axis=-1) < radius


def test_the_largest_component_is_the_one_of_greatest_area_not_of_most_faces():
    kept = largest_component(together(ball(0.1, (0.9, 0, 0), 4), ball(0.5, subdivisions=2), ball(0.2, (-0.9, 0, 0), 1)))
    assert len(kept.faces) == len(ball(0.5, subdivisions=2).faces)
    np.testing.assert_allclose(np.linalg.norm(kept.vertices, axis=1), 0.5)
    assert kept.is_watertight


def test_what_is_kept_keeps_its_normals_and_colours():
    mesh = together(ball(0.5), ball(0.1, (0.9, 0, 0)))
    generator = np.random.default_rng(0)
    normals = generator.normal(size=mesh.vertices.shape)
    colors = generator.integers(0, 255, (len(normals), 4), dtype=np.uint8)
    mesh.visual.vertex_colors = colors
    mesh.vertex_normals = normals
    kept = largest_component(mesh)
    n = len(ball(0.5).vertices)
    np.testing.assert_array_equal(kept.vertex_normals, normals[:n])
    np.testing.assert_array_equal(kept.visual.vertex_colors, colors[:n])


def test_clipping_leaves_the_object_whole_and_drops_what_no_mask_allows():
    cameras = cameras_around()
    masks = [mask_of_ball(camera, 0.5) for camera in cameras]
    mesh = together(ball(0.5), ball(0.15, (0.0, 0.0, 0.9)), ball(0.1, (0.9, 0.0, 0.0)))
    kept = clip_to_masks(mesh, cameras, masks, dilation_px=2)
    # All three balls have as many faces.
    np.testing.assert_array_equal(kept.bounds, ball(0.5).bounds)
    assert len(kept.faces) == len(ball(0.5).faces) and kept.is_watertight


def test_dilation_is_counted_in_pixels():
    cameras = cameras_around(1)
    masks = [mask_of_ball(cameras[0], 0.4)]
    kept = clip_to_masks(ball(0.6, subdivisions=5), cameras, masks, dilation_px=6)
    pixels, _ = project(torch.from_numpy(np.array(kept.vertices)), cameras[0])
    center, _ = project(torch.zeros(3).double(), cameras[0])
    tangent = 1.2 * 120 * 0.4 / float(cameras[0].center.square().sum() - 0.4**2) ** 0.5
    assert (pixels - center).norm(dim=-1).max() == pytest.approx(tangent + 6, abs=1.5)


def test_a_view_says_nothing_about_what_is_beside_its_image_or_behind_it():
    camera = cameras_around(1)[0]
    beside, behind = ball(0.1, (0.0, 3.0, 0.0)), ball(0.1, tuple((2 * camera.center).tolist()))
    kept = clip_to_masks(together(beside, behind), [camera], [np.zeros((120, 120), bool)])
    assert len(kept.faces) == len(beside.faces) + len(behind.faces)


def test_masks_that_leave_nothing_are_refused():
    camera = cameras_around(1)[0]
    with pytest.raises(InputError, match="none of the 1280 faces lies within all 1 masks"):
        clip_to_masks(ball(0.5), [camera], [np.zeros((120, 120), bool)])


def test_a_crop_is_along_the_axes_of_its_own_frame_and_in_its_units():
    # A quarter turn about z, ten times larger, moved.
    turned = torch.tensor([[0.0, -10.0, 0, 100.0], [10.0, 0, 0, 0], [0, 0, 10.0, 0], [0, 0, 0, 1.0]]).double()
    box = np.array([[99.0, -9.0, -9.0], [109.0, 9.0, 9.0]])
    kept = cropped(ball(0.5), box, turned)
    # World x = 100 - 10 y >= 99 is y <= 0.1 in the scene.
    assert kept.bounds[:, 0] == pytest.approx([-0.5, 0.5], abs=0.01)
    assert kept.bounds[0, 1] == pytest.approx(-0.5) and 0.05 < kept.bounds[1, 1] <= 0.1
    whole = ball(0.5)
    assert cropped(whole, np.array([[-1.0] * 3, [1.0] * 3])) is whole
    with pytest.raises(InputError, match=r"none of the 1280 faces lies within it; the mesh spans \[95, -5, -5\] to \[105"):
        cropped(ball(0.5), box + 50.0, turned)


def test_a_part_of_a_mesh_has_no_unused_vertices():
    mesh = ball(0.5)
    part = with_faces(mesh, mesh.triangles_center[:, 2] > 0)
    assert set(part.faces.ravel()) == set(range(len(part.vertices)))
    np.testing.assert_allclose(part.area, mesh.area_faces[mesh.triangles_center[:, 2] > 0].sum())


def test_floaters_go_by_size_and_what_is_left_is_whole():
    speck, hand = ball(0.03, (0.9, 0, 0)), ball(0.2, (-0.8, 0, 0))
    bubble = ball(0.04)
    bubble.invert()
    kept = without_floaters(together(speck, ball(0.5), hand, bubble))
    assert len(kept.faces) == 2 * len(hand.faces) and kept.is_watertight
    np.testing.assert_allclose(kept.volume, ball(0.5).volume + hand.volume)


def test_a_piece_outside_the_hull_of_the_masks_goes_even_if_it_is_the_largest():
    cameras = cameras_around(9)
    masks = [mask_of_ball(camera, 0.3) for camera in cameras]
    shell = ball(0.9)
    kept = without_floaters(together(shell, ball(0.3)), cameras, masks)
    np.testing.assert_allclose(kept.volume, ball(0.3).volume)
    np.testing.assert_allclose(without_floaters(together(shell, ball(0.3))).volume, shell.volume + ball(0.3).volume)


def test_one_wrong_mask_of_many_and_outlines_a_little_inside_take_nothing_away():
    cameras = cameras_around(24)
    masks = [mask_of_ball(camera, 0.49) for camera in cameras]
    masks[5] = np.zeros_like(masks[5])
    # The object's own surface lies just outside its outlines; only most of a piece counts.
    kept = without_floaters(ball(0.5), cameras, masks)
    assert len(kept.faces) == len(ball(0.5).faces)


def test_cleaning_with_the_masks_of_another_scene_is_refused():
    cameras = cameras_around(4)
    with pytest.raises(InputError, match="none of the 2 pieces of the mesh lies within the masks"):
        without_floaters(together(ball(0.5), ball(0.1, (0.9, 0, 0))), cameras, [np.zeros((120, 120), bool)] * 4)
