import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.scenes.blender import read_blender
from neus.scenes.lens_models import distorted
from neus.scenes.selection import Selection
from tests.scenes.layouts import OBJECT_RADIUS, WORLD, largest_pixel_difference, ring_scene, world_points, write_blender

LEGO = Path(__file__).parents[2].parent / "shared/data/lego"
SIZES = [(40, 30), (32, 24), (30, 40), (40, 30), (40, 30), (32, 24)]


@pytest.fixture
def written(tmp_path):
    scene = ring_scene(SIZES)
    return scene, write_blender(scene, tmp_path / "scene")


def change_file(folder, change):
    """Apply `change` to the contents of transforms_train.json."""
    path = folder / "transforms_train.json"
    transforms = json.loads(path.read_text())
    change(transforms)
    path.write_text(json.dumps(transforms))


def change_frame(folder, **changes):
    """Replace entries of the second frame; None removes one."""

    def change(transforms):
        frame = {**transforms["frames"][1], **changes}
        transforms["frames"][1] = {key: value for key, value in frame.items() if value is not None}

    change_file(folder, change)


def test_a_scene_written_and_read_back_has_the_same_rays(written):
    scene, folder = written
    read = read_blender(folder)
    assert largest_pixel_difference(scene, read) < 0.01
    assert read.format == "blender" and read.names == [f"r_{view}.png" for view in range(len(scene))]
    assert [image.shape for image in read.images] == [image.shape for image in scene.images]


def test_the_alpha_channel_is_the_mask(written):
    scene, folder = written
    for found, expected in zip(read_blender(folder).masks, scene.masks, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_background_is_laid_behind_the_object(written, value):
    scene, folder = written
    read = read_blender(folder, background=(value,) * 3)
    assert read.background.tolist() == [value] * 3
    for found, image, mask in zip(read.images, scene.images, scene.masks, strict=True):
        assert np.array_equal(found, np.where(mask[:, :, None], image, np.uint8(255 * value)))


def test_the_region_found_holds_the_object_with_little_room_to_spare(written):
    scene, folder = written
    read = read_blender(folder)
    center, radius = read.scene_to_world[:3, 3], float(read.scene_to_world[0, 0])
    object_radius = OBJECT_RADIUS * float(scene.scene_to_world[0, 0])
    offset = float((center - scene.scene_to_world[:3, 3]).norm())
    assert offset + object_radius < radius < 1.6 * object_radius


def test_a_region_given_is_the_region_used(written):
    scene, folder = written
    center = scene.scene_to_world[:3, 3]
    read = read_blender(folder, center=center.tolist(), scale=3.0)
    assert torch.equal(read.scene_to_world[:3, 3], center) and float(read.scene_to_world[0, 0]) == 3.0
    assert largest_pixel_difference(scene, read) < 0.01
    with pytest.raises(InputError, match="no radius; give both"):
        read_blender(folder, center=center.tolist())


def test_one_angle_of_view_for_all_says_the_same_as_focal_lengths(tmp_path):
    scene = ring_scene([(40, 30)] * 4)
    # What camera_angle_x can say: square pixels and the axis through the middle.
    scene.intrinsics[:, 1, 1] = scene.intrinsics[:, 0, 0]
    scene.intrinsics[:, :2, 2] = torch.tensor([20.0, 15.0]).double()
    folder = write_blender(scene, tmp_path / "scene")

    def one_angle(transforms):
        transforms["camera_angle_x"] = 2 * float(torch.atan(20.0 / scene.intrinsics[0, 0, 0]))
        for frame in transforms["frames"]:
            for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
                del frame[key]

    change_file(folder, one_angle)
    assert largest_pixel_difference(scene, read_blender(folder, center=[11.3, -4.1, 25.9], scale=3.7)) < 0.01


def test_images_made_smaller_see_the_same(tmp_path):
    scene = ring_scene([(40, 30)] * 4)
    folder = write_blender(scene, tmp_path / "scene")
    for file in (folder / "train").iterdir():
        half = cv2.resize(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), (20, 15), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(file), half)
    read = read_blender(folder)
    torch.testing.assert_close(2.0 * read.intrinsics[:, :2], scene.intrinsics[:, :2])


def test_images_without_alpha_have_no_masks_and_no_background(written):
    scene, folder = written
    for view, file in enumerate(sorted((folder / "train").iterdir())):
        cv2.imwrite(str(file), np.full((*scene.images[view].shape[:2], 3), 99, np.uint8))
    read = read_blender(folder)
    assert read.masks is None and read.background is None
    assert largest_pixel_difference(scene, read) < 0.01


def test_alpha_is_kept_as_it_is_beside_the_mask(written):
    _, folder = written
    assert all(set(np.unique(alpha)) <= {0, 255} for alpha in read_blender(folder).alphas)
    file = folder / "train" / "r_0.png"
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    pixels[:2, :3, 3] = [[0, 127, 128], [200, 255, 1]]
    cv2.imwrite(str(file), pixels)
    read = read_blender(folder)
    assert read.alphas[0][:2, :3].tolist() == [[0, 127, 128], [200, 255, 1]]
    assert read.masks[0][:2, :3].tolist() == [[False, False, True], [True, True, False]]
    assert [alpha.shape for alpha in read.subset([2, 0]).alphas] == [read.masks[v].shape for v in (2, 0)]


def test_masks_in_files_of_their_own_are_read(written):
    scene, folder = written
    for view in range(len(scene)):
        cv2.imwrite(str(folder / "train" / f"r_{view}.png"), np.ascontiguousarray(scene.images[view][:, :, ::-1]))
        cv2.imwrite(str(folder / f"m_{view}.png"), scene.masks[view] * np.uint8(255))
    change_file(folder, lambda t: [frame.update(mask_path=f"m_{view}") for view, frame in enumerate(t["frames"])])
    read = read_blender(folder)
    assert read.background is None and read.alphas is None
    assert all(np.array_equal(found, expected) for found, expected in zip(read.masks, scene.masks, strict=True))
    change_frame(folder, mask_path=None)
    with pytest.raises(InputError, match=r"5 of 6 images have an alpha channel or a mask \(r_1\.png has not\)"):
        read_blender(folder)


def test_a_missing_image_is_named_and_most_of_them_are_an_error(written):
    scene, folder = written
    (folder / "train" / "r_1.png").rename(folder / "train" / "r_1_depth.png")
    with pytest.warns(InputWarning, match=r"transforms_train\.json: 1 of 6 images do not exist.*\(\./train/r_1\)"):
        read = read_blender(folder)
    assert largest_pixel_difference(scene.subset([0, 2, 3, 4, 5]), read) < 0.01
    for view in (2, 3):
        (folder / "train" / f"r_{view}.png").unlink()
    with pytest.raises(InputError, match=r"3 of 6 images are not in .*no such image \./train/r_1"):
        read_blender(folder)


def test_missing_folders_and_files_are_named_with_what_was_found(written, tmp_path):
    _, folder = written
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_blender(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"transforms_train\.json in it; expected transforms_test\.json"):
        read_blender(folder, split="test")
    assert len(read_blender(folder / "transforms_train.json")) == len(SIZES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a readable json file"),
        ('{"frames": [', "not a readable json file"),
        ("[1, 2]", "no list of frames"),
        ('{"frames": 7}', "no list of frames"),
        ('{"frames": []}', "no images"),
        ('{"frames": [3]}', "frame 0 has no file_path"),
        ('{"frames": [{"file_path": 3}]}', "frame 0 has no file_path"),
    ],
)
def test_a_file_that_is_no_transforms_json_is_refused(tmp_path, text, message):
    (tmp_path / "transforms_train.json").write_text(text)
    with pytest.raises(InputError, match=rf"transforms_train\.json: .*{message}"):
        read_blender(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform_matrix": "identity"}, "not 4x4 plain numbers"),
        ({"transform_matrix": [[1.0] * 4] * 2}, r"transform_matrix has shape \(2, 4\)"),
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "NaN or infinity"),
        ({"transform_matrix": [[0.0] * 4] * 3}, "pose is singular"),
        ({"transform_matrix": [[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.9, 9.0]]}, "shears or stretches"),
        ({"transform_matrix": [[-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 9.0]]}, "mirrors"),
        ({"transform_matrix": [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 9.0], [0, 0, 1, 1]]}, "the last row of its pose"),
        ({"fl_x": None}, "neither camera_angle_x nor fl_x"),
        ({"fl_x": "wide"}, "fl_x is 'wide', expected a finite number"),
        ({"fl_x": None, "camera_angle_x": 4.0}, "camera_angle_x is 4.0, expected radians between 0 and pi"),
        ({"w": 64}, "expected the same size or both sides scaled by one factor"),
        ({"h": -24, "w": -32}, "expected positive numbers"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera model is EQUIRECTANGULAR, .* undistort the images"),
        ({"is_fisheye": True, "p1": 0.1}, "p1 = 0.1 with the camera model OPENCV_FISHEYE"),
    ],
)
def test_a_frame_that_makes_no_sense_is_named(written, changes, message):
    _, folder = written
    change_frame(folder, **changes)
    with pytest.raises(InputError, match=rf"(frame 1|view 1).*{message}"):
        read_blender(folder, center=[11.3, -4.1, 25.9], scale=3.7)


@pytest.mark.skipif(not LEGO.is_dir(), reason=f"no lego scene at {LEGO}")
def test_the_lego_lies_within_the_projected_unit_sphere_in_all_views():
    scene = read_blender(LEGO)
    assert len(scene) == 100
    for view in range(len(scene)):
        camera = scene.camera(view)
        y, x = np.nonzero(scene.masks[view])
        pixels = torch.from_numpy(np.stack([x, y, np.ones_like(x)], axis=-1) + np.array([0.5, 0.5, 0.0]))
        rays = torch.nn.functional.normalize(pixels @ torch.linalg.inv(camera.intrinsics).T, dim=-1)
        to_center = -camera.camera_to_scene[:3, :3].T @ camera.center
        distances = torch.linalg.cross(rays, to_center.expand_as(rays)).norm(dim=-1)
        assert float(distances.max()) < 1.0
        assert project(torch.zeros(3, dtype=torch.float64), camera)[1] > 1.0
    # The brick is about 2.4 units long: the region is no larger than it must be.
    assert 1.0 < float(scene.scene_to_world[0, 0]) < 1.6


def rewrite_paths(folder, rename):
    change_file(folder, lambda t: [f.update(file_path=rename(f["file_path"].removeprefix("./"))) for f in t["frames"]])


@pytest.mark.parametrize(
    ("rename", "is_said"),
    [
        (lambda p: f"C:\\Users\\me\\scene\\{p}.png".replace("/", "\\"), True),
        (lambda p: f"/content/drive/MyDrive/scene/{p}.png", True),
        (lambda p: p.replace("train", "Train") + ".PNG", True),
        (lambda p: p + ".jpg", True),
        (lambda p: p.replace("/", "\\") + ".png", False),
        (lambda p: p + ".png", False),
    ],
    ids=["Windows", "Colab", "case", "ending", "backslash", "ending given"],
)
def test_paths_of_other_machines_lead_to_the_images(written, recwarn, rename, is_said):
    scene, folder = written
    rewrite_paths(folder, rename)
    assert largest_pixel_difference(scene, read_blender(folder)) < 0.01
    assert ["found by another name" in str(w.message) for w in recwarn.list] == [True] * is_said


def test_a_frame_without_a_pose_is_left_out_and_named(written):
    scene, folder = written
    change_frame(folder, transform_matrix=None)
    with pytest.warns(InputWarning, match=r"1 of 6 frames have no transform_matrix and are left out \(frame 1 \(r_1\)\)"):
        read = read_blender(folder)
    assert largest_pixel_difference(scene.subset([0, 2, 3, 4, 5]), read) < 0.01
    change_file(folder, lambda t: [frame.pop("transform_matrix", None) for frame in t["frames"]])
    with pytest.raises(InputError, match="6 of 6 frames have no transform_matrix"):
        read_blender(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_saved_on_windows_is_read(written, encoding):
    scene, folder = written
    path = folder / "transforms_train.json"
    path.write_bytes(path.read_text().replace(", ", ",\r\n").encode(encoding))
    assert largest_pixel_difference(scene, read_blender(folder)) < 0.01
    path.write_bytes(b'{"frames": "\xe9"}')
    with pytest.raises(InputError, match=r"transforms_train\.json: not text in UTF-8 \(byte 12 is 0xe9\); save it as UTF-8"):
        read_blender(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: np.round(m, 3),
        lambda m: m.astype(np.float16).astype(float),
        lambda m: m * 0.0012,
        lambda m: m @ np.diag([0.5, 0.5, 0.5, 1.0]),
    ],
    ids=["3 decimals", "float16", "a factor", "a scale"],
)
@pytest.mark.filterwarnings("ignore:.*poses")
def test_nearly_rigid_poses_are_repaired(tmp_path, change):
    scene = ring_scene(SIZES, torch.eye(4, dtype=torch.float64))
    folder = write_blender(scene, tmp_path / "scene")

    def worsen(transforms):
        for frame in transforms["frames"]:
            frame["transform_matrix"] = change(np.array(frame["transform_matrix"])).tolist()

    change_file(folder, worsen)
    assert largest_pixel_difference(scene, read_blender(folder)) < 0.1


def test_keys_without_a_use_are_named_once_and_harmless_ones_never(written, recwarn):
    _, folder = written
    change_file(folder, lambda t: t.update(aabb_scale=16, applied_transform=[1], rolling_shutter=[0, 0, 1], offset=[1, 2, 3]))
    change_frame(folder, depth_file_path="d.png", sharpness=7.0)
    read_blender(folder)
    assert [str(w.message).split(": ", 1)[1] for w in recwarn.list] == ["2 of its keys are not used (depth_file_path, rolling_shutter)."]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"k4": -0.35}, "k4 = -0.35 with the camera model OPENCV has no one meaning"),
        ({"k1": 0.1, "k5": 0.2, "k6": 0.3}, "k5 = 0.2, k6 = 0.3"),
        ({"sk_y": 0.5}, "sk_y is 0.5, expected 0"),
        ({"sk_x": 2.0, "k1": 0.1}, "sk_x is 2.0 beside lens distortion"),
    ],
)
def test_a_lens_that_cannot_be_computed_is_an_error(written, keys, message):
    _, folder = written
    change_file(folder, lambda t: t.update(keys))
    with pytest.raises(InputError, match=message):
        read_blender(folder)


def test_a_lens_that_folds_back_is_refused_by_the_name_of_its_image(written):
    _, folder = written
    change_file(folder, lambda t: t["frames"][0].update(fl_x=18.0, fl_y=18.0, k1=-0.35))
    with pytest.raises(InputError, match=r"r_0\.png: its lens .* folds back 44 degrees from the optical axis") as refused:
        read_blender(folder)
    assert "\n" not in str(refused.value)


def test_a_rational_lens_bends_as_opencv_says(written):
    _, folder = written
    change_file(folder, lambda t: t.update(camera_model="FULL_OPENCV", k1=0.1, k2=0.0, k3=0.02, k4=0.09, k5=-0.01, k6=0.0))
    bent = read_blender(folder)
    # Numerator and denominator nearly cancel: all but the pinhole.
    change_file(folder, lambda t: [t.pop(key) for key in ("k1", "k2", "k3", "k4", "k5", "k6")])
    plain = read_blender(folder)
    change_file(folder, lambda t: t.update(k1=0.1))
    assert largest_pixel_difference(bent, plain) < 0.3 < largest_pixel_difference(read_blender(folder), plain)


def test_skew_moves_pixels_as_it_should(written):
    scene, folder = written
    change_file(folder, lambda t: t.update(sk_x=2.5, sk_y=0.0))
    scene.intrinsics[:, 0, 1] = 2.5
    assert largest_pixel_difference(scene, read_blender(folder)) < 0.01


def test_the_sphere_of_the_file_is_the_region(written):
    scene, folder = written
    change_file(folder, lambda t: t.update(sphere_center=[11.0, -4.0, 26.0], sphere_radius=5.0))
    read = read_blender(folder)
    assert read.scene_to_world[:3, 3].tolist() == [11.0, -4.0, 26.0] and float(read.scene_to_world[0, 0]) == 5.0
    assert float(read_blender(folder, center=[11.3, -4.1, 25.9], scale=3.7).scene_to_world[0, 0]) == 3.7
    for wrong in ({"sphere_radius": -1.0}, {"sphere_center": [1, 2]}, {"sphere_radius": None}, {"sphere_center": "here"}):
        change_file(folder, lambda t, wrong=wrong: t.update({"sphere_center": [0, 0, 0], "sphere_radius": 1.0} | wrong))
        with pytest.raises(InputError, match="sphere_center is .* expected three numbers and a positive one"):
            read_blender(folder)


def opaque(scene, folder):
    """The images of a written scene without their alpha channels."""
    for view in range(len(scene)):
        cv2.imwrite(str(folder / "train" / f"r_{view}.png"), np.ascontiguousarray(scene.images[view][:, :, ::-1]))


def test_points_of_the_file_give_the_region_where_there_are_no_masks(written):
    scene, folder = written
    opaque(scene, folder)
    trimesh.PointCloud(world_points(scene, 400).numpy()).export(folder / "sparse_pc.ply")
    change_file(folder, lambda t: t.update(ply_file_path="sparse_pc.ply"))
    read = read_blender(folder)
    object_radius = OBJECT_RADIUS * float(scene.scene_to_world[0, 0])
    assert object_radius < float(read.scene_to_world[0, 0]) < 1.3 * object_radius
    (folder / "sparse_pc.ply").write_text("no points")
    with pytest.warns(InputWarning, match="points of ply_file_path do not give the region"):
        assert len(read_blender(folder)) == len(scene)


def test_a_folder_of_masks_beside_the_images_is_taken(written):
    scene, folder = written
    opaque(scene, folder)
    (folder / "masks" / "train").mkdir(parents=True)
    for view in range(len(scene)):
        name = f"train/r_{view}.png" if view % 2 else f"r_{view}.png"
        cv2.imwrite(str(folder / "masks" / name), scene.masks[view] * np.uint8(255))
    read = read_blender(folder)
    assert all(np.array_equal(found, expected) for found, expected in zip(read.masks, scene.masks, strict=True))


def test_masks_of_moving_things_are_named_and_not_used(written):
    scene, folder = written
    opaque(scene, folder)
    cv2.imwrite(str(folder / "train" / "dynamic_mask_r_2.png"), np.zeros((30, 40), np.uint8))
    with pytest.warns(InputWarning, match=r"1 masks of pixels to be ignored are not used \(dynamic_mask_r_2\.png\)"):
        assert read_blender(folder).masks is None


def test_one_mask_for_all_views_is_no_outline(written):
    scene, folder = written
    opaque(scene, folder)
    lower = np.full((30, 40), 255, np.uint8)
    lower[25:] = 0
    cv2.imwrite(str(folder / "camera_mask.png"), lower)
    change_file(folder, lambda t: [frame.update(mask_path="camera_mask.png") for frame in t["frames"]])
    with pytest.warns(InputWarning, match="masks are not used .one mask serves all views"):
        assert read_blender(folder).masks is None


@pytest.mark.parametrize("k1", [0.0, -1e-4])
def test_a_mask_of_another_size_is_refused_whatever_the_lens(written, k1):
    scene, folder = written
    cv2.imwrite(str(folder / "m.png"), np.eye(15, 20, dtype=np.uint8) * 255)
    change_file(folder, lambda t: t.update(k1=k1))
    change_file(folder, lambda t: [frame.update(mask_path="m.png") for frame in t["frames"]])
    with pytest.raises(InputError, match=r"m\.png: the mask is 20x15 pixels but its image 40x30"):
        read_blender(folder, mask_meaning="object")


def test_lists_of_splits_are_followed(written):
    scene, folder = written
    names = [f"./train/r_{view}" for view in range(6)]
    change_file(folder, lambda t: t.update(train_filenames=names[:4], test_filenames=names[4:]))
    with pytest.warns(InputWarning, match=r"2 of 6 frames are not in train_filenames and are left out \(\./train/r_4, \./train/r_5\)"):
        assert largest_pixel_difference(scene.subset([0, 1, 2, 3]), read_blender(folder)) < 0.01
    (folder / "transforms_train.json").rename(folder / "transforms.json")
    with pytest.raises(InputError, match="train_filenames, test_filenames, but no val_filenames; set dataset.split"):
        read_blender(folder, split="val")


def test_one_bad_view_can_be_left_out(written):
    scene, folder = written
    change_frame(folder, transform_matrix=[[1.0, 0, 0, 900.0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]])
    with pytest.raises(InputError, match=r"view 1 \(r_1\.png\).*cannot see it"):
        read_blender(folder)
    for entry in ("r_1.png", "r_1", 1):
        read = read_blender(folder, selection=Selection(exclude=(entry,)))
        assert largest_pixel_difference(scene.subset([0, 2, 3, 4, 5]), read) < 0.01


def test_a_size_that_is_not_recorded_and_a_principal_point_outside_are_no_nan(written):
    scene, folder = written

    def doubled(transforms):
        for frame in transforms["frames"]:
            frame |= {key: 2 * frame[key] for key in ("fl_x", "fl_y", "cx", "cy")}
            del frame["w"], frame["h"]

    opaque(scene, folder)
    change_file(folder, doubled)
    try:
        assert torch.isfinite(read_blender(folder).camera_to_scene).all()
    except InputError as error:
        assert "NaN" not in str(error)


def test_intrinsics_in_fractions_of_the_image_are_refused_with_the_suggestion(written):
    _, folder = written

    def fractions(transforms):
        for frame in transforms["frames"]:
            frame |= {key: frame[key] / frame["w"] for key in ("fl_x", "fl_y", "cx", "cy")}

    change_file(folder, fractions)
    with pytest.raises(InputError, match="are fractions of the image, expected pixels; multiply the first row by its width 40"):
        read_blender(folder)


@pytest.mark.parametrize("keys", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}])
def test_a_fisheye_becomes_a_pinhole_camera_of_the_same_rays(written, keys):
    scene, folder = written
    coefficients = {"k1": 0.05, "k2": -0.02, "k3": 0.01, "k4": 0.001}
    change_file(folder, lambda t: t.update(keys | coefficients))
    read = read_blender(folder, center=WORLD[:3, 3].tolist(), scale=float(WORLD[0, 0]))
    for view in range(len(scene)):
        middle = read.images[view].shape[0] // 2, read.images[view].shape[1] // 2
        ray = torch.linalg.inv(read.intrinsics[view]) @ torch.tensor([middle[1] + 0.5, middle[0] + 0.5, 1.0], dtype=torch.float64)
        bent = distorted("OPENCV_FISHEYE", tuple(coefficients.values()), ray[None, :2].numpy())[0]
        pixel = scene.intrinsics[view].numpy() @ [*bent, 1.0]
        # The colours of `smooth_colors` tell the place.
        height, width = scene.images[view].shape[:2]
        found = (read.images[view][middle][:2] - 20.0) / 200.0 * [width, height]
        if read.masks[view][middle]:
            assert np.abs(found - pixel[:2]).max() < 0.3
    assert any(read.masks[view][image.shape[0] // 2, image.shape[1] // 2] for view, image in enumerate(read.images))


def test_masks_that_are_there_and_belong_to_no_image_are_said_to_be_unused(written):
    scene, folder = written
    opaque(scene, folder)
    (folder / "masks").mkdir()
    cv2.imwrite(str(folder / "masks" / "m_0_x.png"), scene.masks[0] * np.uint8(255))
    unused = r"masks: none of its 1 files is the mask of an image.*expected names such as .*r_0.* \(m_0_x\.png\)"
    with pytest.warns(InputWarning, match=unused) as said:
        assert read_blender(folder).masks is None
    assert len(said) == 1
    change_file(folder, lambda t: [f.update(mask_path=f"lost/{n}.png") for n, f in enumerate(t["frames"])])
    with pytest.warns(InputWarning, match=r"none of the 6 masks that mask_path names exists.* \(lost/0\.png,") as said:
        assert read_blender(folder).masks is None
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_blender(folder, mask_meaning="ignore").masks is None
