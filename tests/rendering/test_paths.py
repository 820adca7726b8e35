import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import Camera, project
from neus.geometry.poses import look_at, rotation_from_vector
from neus.rendering.paths import between, common_target, common_up, orbit, spiral, through

DATA = Path(__file__).parents[2].parent / "shared/data"
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def camera_at(azimuth, elevation, radius=3.0, target=(0.0, 0.0, 0.0), up=UP, focal=500.0, size=(200, 100)):
    azimuth, elevation = math.radians(azimuth), math.radians(elevation)
    direction = vector(
        math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)
    )
    intrinsics = torch.tensor([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(intrinsics, look_at(vector(*target) + radius * direction, vector(*target), up), *size)


def ring(n=12, elevation=30.0, arc=360.0, **options):
    return [camera_at(i * arc / n, elevation, **options) for i in range(n)]


def moved(camera, rotation):
    pose = camera.camera_to_scene.clone()
    pose[:3] = rotation @ pose[:3]
    return Camera(camera.intrinsics, pose, camera.width, camera.height)


def centers(cameras):
    return torch.stack([camera.center for camera in cameras])


def azimuths(cameras):
    return torch.rad2deg(torch.atan2(*centers(cameras)[:, [1, 0]].T))


def test_frames_between_two_views_ease_in_and_out_as_in_neus():
    start, end = camera_at(0.0, 20.0), camera_at(40.0, 20.0)
    frames = between(start, end, 60)
    assert len(frames) == 120
    torch.testing.assert_close(frames[0].camera_to_scene, start.camera_to_scene)
    travelled = (centers(frames) - start.center).norm(dim=-1) / (end.center - start.center).norm()
    expected = [math.sin((i / 60 - 0.5) * math.pi) * 0.5 + 0.5 for i in range(60)]
    torch.testing.assert_close(travelled, vector(*expected, *expected[::-1]), atol=1e-7, rtol=0)
    assert len(between(start, end, 7, there_and_back=False)) == 7


def test_frames_between_two_views_are_rigid_and_share_the_size_of_the_first():
    start, end = camera_at(0.0, 20.0), camera_at(90.0, 50.0, focal=300.0, size=(400, 200))
    middle = between(start, end, 2)[1]
    assert (middle.width, middle.height) == (200, 100)
    # The end's focal length is 150 at the size of the start.
    assert middle.intrinsics[0, 0].item() == pytest.approx((500 + 150) / 2)
    rotation = middle.camera_to_scene[:3, :3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))


def test_an_orbit_of_a_ring_is_that_ring():
    frames = orbit(ring(), 36)
    assert len(frames) == 36
    points = centers(frames)
    torch.testing.assert_close(points[:, 2], torch.full((36,), 1.5, dtype=torch.float64))
    torch.testing.assert_close(points.norm(dim=-1), torch.full((36,), 3.0, dtype=torch.float64))
    steps = torch.remainder(azimuths(frames).roll(-1) - azimuths(frames), 360.0)
    torch.testing.assert_close(steps, torch.full((36,), 10.0, dtype=torch.float64))
    for frame in frames:
        pixel, depth = project(torch.zeros(3, dtype=torch.float64), frame)
        torch.testing.assert_close(pixel, vector(100.0, 50.0))
        assert depth > 0 and -frame.camera_to_scene[2, 1] > 0.8


def test_turning_the_scene_turns_the_orbit():
    turn = rotation_from_vector(vector(0.7, -1.1, 0.4))
    frames = orbit([moved(camera, turn) for camera in ring()], 8)
    heights = centers(frames) @ (turn @ UP)
    torch.testing.assert_close(heights, torch.full((8,), 1.5, dtype=torch.float64))


def test_cameras_on_one_side_are_swung_to_and_fro_within_their_arc():
    cameras = ring(n=13, arc=130.0)  # 0 to 120 degrees
    frames = orbit(cameras, 40)
    angles = azimuths(frames)
    assert angles.min() > -1e-6 and angles.max() < 120 + 1e-6
    torch.testing.assert_close(angles[1:], angles[1:].flip(0))
    assert angles[20] - angles[0] == pytest.approx(120.0)


def test_the_choice_between_swing_and_circle_can_be_made_by_hand():
    arc, circle = ring(n=13, arc=130.0), ring()
    assert azimuths(orbit(arc, 36, arc_only=False)).diff().abs().median() == pytest.approx(10.0)
    swing = azimuths(orbit(circle, 36, arc_only=True))
    torch.testing.assert_close(swing[1:], swing[1:].flip(0))


@pytest.mark.parametrize("elevation", [0.0, 30.0, 60.0, -20.0])
@pytest.mark.parametrize("arc", [90.0, 360.0])
def test_the_vertical_is_found_whatever_the_elevation_of_the_cameras(elevation, arc):
    torch.testing.assert_close(common_up(ring(elevation=elevation, arc=arc)), UP)


def test_the_vertical_is_found_from_a_cap_of_cameras_that_all_look_down_from_one_side():
    cap = [camera_at(azimuth, elevation) for azimuth in (-60, -30, 0, 30, 60) for elevation in (10, 35, 70)]
    torch.testing.assert_close(common_up(cap), UP)


def test_cameras_held_upright_and_sideways_leave_the_vertical_to_their_ring():
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    cameras = ring(n=24, elevation=10.0)
    for camera in cameras[::3]:
        camera.camera_to_scene[:3, :3] = camera.camera_to_scene[:3, :3] @ quarter
    torch.testing.assert_close(common_up(cameras), UP)


def rolled(camera, quarter_turns):
    """The camera held on its side: `quarter_turns` clockwise of its raster make it upright."""
    roll = rotation_from_vector(vector(0.0, 0.0, quarter_turns * math.pi / 2))
    pose = camera.camera_to_scene.clone()
    pose[:3, :3] = pose[:3, :3] @ roll
    return replace(camera, camera_to_scene=pose)


@pytest.mark.parametrize("arc", [100.0, 180.0, 360.0])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_cameras_held_on_their_side_have_the_vertical_that_their_files_note(arc, turn):
    cameras = [replace(rolled(camera, turn), turn=turn) for camera in ring(n=24, elevation=20.0, arc=arc)]
    torch.testing.assert_close(common_up(cameras), UP)


@pytest.mark.parametrize("arc", [100.0, 180.0, 360.0])
@pytest.mark.parametrize("turn", [1, 3])
def test_cameras_held_on_their_side_without_a_note_have_the_right_vertical_but_for_its_sign(arc, turn):
    up = common_up([rolled(camera, turn) for camera in ring(n=24, elevation=20.0, arc=arc)])
    torch.testing.assert_close(up, UP if turn == 1 else -UP)


@pytest.mark.parametrize("elevation", [0.0, 45.0, 90.0, -90.0])
def test_the_vertical_is_a_unit_vector_whatever_the_cameras_do(elevation):
    cameras = [rolled(camera, 1.1 * i) for i, camera in enumerate(ring(n=24, elevation=elevation))]
    assert float(common_up(cameras).norm()) == pytest.approx(1.0)


def test_straight_from_above_with_all_sides_up_in_turn_the_cameras_are_above():
    straight_down = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]], dtype=torch.float64)
    cameras = []
    for i, camera in enumerate(ring(n=24)):
        camera.camera_to_scene[:3, :3], camera.camera_to_scene[:3, 3] = straight_down, vector(0.0, 0.0, 3.0)
        cameras.append(rolled(camera, i / 6))
    torch.testing.assert_close(common_up(cameras), UP)


def test_an_orbit_around_images_stored_on_their_side_is_upright():
    frames = orbit([replace(rolled(camera, 1), turn=1) for camera in ring()], 12)
    assert all(frame.turn == 0 and -frame.camera_to_scene[2, 1] > 0.8 for frame in frames)


def test_cameras_all_in_one_place_have_their_images_vertical():
    camera = camera_at(10.0, 30.0)
    torch.testing.assert_close(common_up([camera] * 3), -camera.camera_to_scene[:3, 1])


def test_optical_axes_that_meet_have_their_meeting_point_as_target():
    torch.testing.assert_close(
        common_target(ring(target=(0.2, -0.1, 0.05))), vector(0.2, -0.1, 0.05), atol=1e-5, rtol=0
    )
    # One axis, or parallel ones, meet nowhere: then the point nearest to the scene's centre.
    target = common_target([camera_at(0.0, 0.0, target=(0.0, 0.3, 0.0))])
    torch.testing.assert_close(target, vector(0.0, 0.3, 0.0), atol=1e-4, rtol=0)


def test_no_frame_is_nearer_than_the_nearest_camera_nor_inside_the_unit_sphere():
    off_center = ring(target=(0.7, 0.0, 0.0), radius=2.0)
    nearest = centers(off_center).norm(dim=-1).min()
    assert centers(orbit(off_center, 50)).norm(dim=-1).min() >= nearest - 1e-9
    assert centers(orbit(ring(radius=0.5), 50)).norm(dim=-1).min() >= 1.0 - 1e-9


def test_the_orbit_has_the_median_intrinsics_at_the_size_of_the_first_view():
    cameras = [*ring(n=3), camera_at(300.0, 30.0, focal=9000.0), camera_at(200.0, 30.0, focal=1000.0, size=(400, 200))]
    frame = orbit(cameras, 1)[0]
    assert (frame.width, frame.height) == (200, 100)
    assert frame.intrinsics[0, 0].item() == pytest.approx(500.0)


def test_one_camera_alone_stands_still():
    camera = camera_at(20.0, 30.0)
    for frame in orbit([camera], 5):
        torch.testing.assert_close(frame.camera_to_scene, camera.camera_to_scene, atol=1e-4, rtol=0)


def test_paths_without_cameras_or_frames_are_refused():
    with pytest.raises(InputError, match="no cameras given"):
        orbit([], 10)
    with pytest.raises(InputError, match="0 frames, expected at least 1"):
        orbit(ring(), 0)
    with pytest.raises(InputError, match="0 frames"):
        between(*ring(2), 0)


@pytest.mark.skipif(not (DATA / "dtu_scan65").is_dir(), reason="no DTU scan 65 in ../shared/data")
def test_the_orbit_of_a_dtu_scan_stays_on_the_observed_side():
    from neus.geometry.cameras import camera_from_projection
    from neus.scenes.idr import read_camera_file

    files = read_camera_file(DATA / "dtu_scan65" / "cameras_sphere.npz", 49)
    views = [camera_from_projection((w @ s)[:3]) for w, s in zip(files["world_mat"], files["scale_mat"])]
    cameras = [Camera(intrinsics, pose, 800, 600) for intrinsics, pose in views]
    seen, frames = centers(cameras), orbit(cameras, 60)
    spread = torch.cdist(seen, seen).fill_diagonal_(math.inf).min(dim=1).values.max()
    # Two widths of the widest gap between neighbouring cameras.
    assert torch.cdist(centers(frames), seen).min(dim=1).values.max() < 2 * spread
    assert (centers(frames).norm(dim=-1) >= seen.norm(dim=-1).min() - 1e-9).all()
    # DTU's cameras hang level on a robot's arm: the images' horizontal axes are level in the frames' sense.
    level = torch.stack([camera.camera_to_scene[:3, 0] for camera in cameras]) @ common_up(cameras)
    assert level.abs().max() < 0.1


def angle_between(one, other):
    cosine = ((one[:3, :3].T @ other[:3, :3]).trace() - 1) / 2
    return math.degrees(math.acos(min(1.0, float(cosine))))


def test_half_way_between_two_views_the_rotation_is_half_done():
    start, end = camera_at(0.0, 20.0), camera_at(80.0, 50.0)
    frames = through([start, end], 61)
    whole = angle_between(start.camera_to_scene, end.camera_to_scene)
    for side in (start, end):
        assert angle_between(side.camera_to_scene, frames[30].camera_to_scene) == pytest.approx(whole / 2, abs=1e-4)
    torch.testing.assert_close(frames[0].camera_to_scene, start.camera_to_scene)
    torch.testing.assert_close(frames[-1].camera_to_scene, end.camera_to_scene)


def test_the_way_between_opposite_views_leads_around_the_object_and_keeps_it_in_the_middle():
    frames = through([camera_at(0.0, 0.0), camera_at(179.0, 0.0, radius=5.0)], 50)
    distances = centers(frames).norm(dim=-1)
    assert distances.min() >= 3.0 - 1e-6 and distances.max() <= 5.0 + 1e-6 and (distances.diff() >= -1e-9).all()
    for frame in frames:
        pixel, depth = project(torch.zeros(3, dtype=torch.float64), frame)
        torch.testing.assert_close(pixel, vector(100.0, 50.0), atol=1e-3, rtol=0)
        assert depth > 0


def test_the_way_through_many_views_passes_them_all_without_a_jump_and_at_rest_at_both_ends():
    keys = [camera_at(0, 20), camera_at(40, 45, radius=2.5), camera_at(100, 10), camera_at(120, 30)]
    frames = through(keys, 400)
    points = centers(frames)
    for key in keys:
        assert (points - key.center).norm(dim=-1).min() < 0.02
    steps = points.diff(dim=0).norm(dim=-1)
    # No step differs from the one before by more than a tenth of the greatest: neither a jump nor a stop.
    assert steps.diff().abs().max() < 0.1 * steps.max()
    assert steps[0] < 0.02 * steps.max() and steps[-1] < 0.02 * steps.max() and steps[100:300].min() > 0.1 * steps.max()


def test_views_that_differ_only_in_place_or_not_at_all_make_a_path():
    still = through([camera_at(0.0, 20.0)] * 2, 3)
    torch.testing.assert_close(still[1].camera_to_scene, camera_at(0.0, 20.0).camera_to_scene)
    with pytest.raises(InputError, match="1 views, expected at least two"):
        through([camera_at(0.0, 0.0)], 3)


def test_an_orbit_asked_for_at_an_elevation_is_there_and_stays_at_its_radius():
    frames = orbit(ring(), 12, elevation=-10.0)
    heights = centers(frames)[:, 2]
    torch.testing.assert_close(heights, torch.full((12,), -3.0 * math.sin(math.radians(10.0))).double())
    torch.testing.assert_close(centers(frames).norm(dim=-1), torch.full((12,), 3.0).double())


def test_no_frame_of_an_orbit_is_lower_than_the_lowest_camera_unless_asked():
    # Enlarged to stay outside the unit sphere, a circle below the horizon would sink.
    low = ring(radius=0.5, elevation=-20.0)
    lowest = centers(low)[:, 2].min()
    assert centers(orbit(low, 20))[:, 2].min() >= lowest - 1e-6
    assert centers(spiral(low, 20))[:, 2].min() >= lowest - 1e-6


def test_a_spiral_goes_from_low_to_high_and_back_at_one_distance_and_closes():
    cameras = [*ring(elevation=10.0), *ring(elevation=50.0)]
    frames = spiral(cameras, 120, turns=3)
    points = centers(frames)
    torch.testing.assert_close(points.norm(dim=-1), torch.full((120,), 3.0).double())
    elevations = torch.rad2deg(torch.asin(points[:, 2] / 3.0))
    assert elevations[0] == pytest.approx(10.0) and elevations[60] == pytest.approx(50.0)
    torch.testing.assert_close(elevations[1:], elevations[1:].flip(0))
    turned = torch.remainder(azimuths(frames).roll(-1) - azimuths(frames), 360.0)
    assert turned.sum() == pytest.approx(3 * 360.0)
    assert (points[0] - points[-1]).norm() < 0.5
