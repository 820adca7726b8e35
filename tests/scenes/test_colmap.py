import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.geometry.poses import invert
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.geometry.similarity import transform_points
from neus.rendering.paths import common_up
from neus.scenes.colmap import read_colmap
from neus.scenes.selection import Selection
from neus.scenes.writers import colmap_camera, world_to_cameras, write_colmap
from tests.scenes.layouts import (
    OBJECT_RADIUS,
    WORLD,
    largest_pixel_difference,
    ring_scene,
    smooth_colors,
    world_points,
)

ROOT = Path(__file__).parents[2]
SIZES = [(40, 30), (32, 24), (30, 40), (40, 30), (40, 30), (32, 24)]
SIZES_OF_LENSES = [(120, 90), (90, 120), (120, 90)]
REGION = (WORLD[:3, 3].tolist(), 3.7)
MODELS = ["PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"]
# k1, k2, p1, p2, k3 to k6 as far as the model has them, as strong as those of a wide lens.
DISTORTIONS = {
    "SIMPLE_RADIAL": (-0.12,),
    "RADIAL": (-0.1, -0.2),
    "OPENCV": (-0.15, 0.04, 0.003, -0.002),
    "FULL_OPENCV": (-0.05, 0.04, 0.003, -0.002, 0.01, 0.1, -0.02, 0.003),
    "SIMPLE_RADIAL_FISHEYE": (0.05,),
    "OPENCV_FISHEYE": (0.05, -0.02, 0.01, 0.001),
    "FOV": (0.9,),
}


def square_scene(sizes=SIZES):
    """Square pixels, which every model can hold."""
    scene = ring_scene(sizes)
    scene.intrinsics[:, 1, 1] = scene.intrinsics[:, 0, 0]
    return scene


def surface_points(n_points=300, seed=0):
    """(P, 3) on the object's sphere, in the world."""
    points = torch.randn(n_points, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return transform_points(WORLD, OBJECT_RADIUS * torch.nn.functional.normalize(points, dim=-1))


@pytest.fixture
def written(tmp_path):
    scene = square_scene()
    return scene, write_colmap(scene, tmp_path / "scene", points=surface_points())


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
@pytest.mark.parametrize("model", MODELS)
def test_a_scene_written_and_read_back_has_the_same_rays(tmp_path, model, binary):
    scene = square_scene()
    folder = write_colmap(scene, tmp_path / "scene", model, binary, surface_points())
    assert len(list((folder / "sparse" / "0").glob("*.bin" if binary else "*.txt"))) >= 3
    read = read_colmap(folder)
    assert largest_pixel_difference(scene, read) < 0.01
    assert read.format == "colmap" and read.names == scene.names
    for view in range(len(scene)):
        assert np.array_equal(read.images[view], scene.images[view])
        assert np.array_equal(read.masks[view], scene.masks[view])


def with_distortion(folder, scene, model):
    """The model of a written scene, its cameras given a lens; its images are then what that lens saw."""
    reconstruction = pycolmap.Reconstruction(str(folder / "sparse" / "0"))
    for view in range(len(scene)):
        lens = colmap_camera(scene.camera(view), model, view + 1, DISTORTIONS[model])
        reconstruction.cameras[view + 1].params = lens.params
    reconstruction.write_binary(str(folder / "sparse" / "0"))
    return reconstruction


def place_in_image(image, pixels):
    """Where in the original image the colours at these pixels (P, 2) come from; inverse of `smooth_colors`."""
    at = (pixels - 0.5).astype(np.float32)
    colors = cv2.remap(image.astype(np.float32), at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0]
    return (colors[:, :2] - 20) / 200 * [image.shape[1], image.shape[0]]


@pytest.mark.parametrize("model", list(DISTORTIONS))
def test_a_point_seen_through_a_lens_lies_where_our_pinhole_projects_it(tmp_path, model):
    scene = square_scene(SIZES_OF_LENSES)
    folder = write_colmap(scene, tmp_path / "scene", model)
    reconstruction = with_distortion(folder, scene, model)
    read = read_colmap(folder, *REGION)
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        # Points all over the image: a lens bends little in the middle.
        every_tenth = pixel_centers(*SIZES_OF_LENSES[view])[::10, ::10].reshape(-1, 2)
        origins, directions = rays_from_pixels(every_tenth, scene.intrinsics[view], scene.camera_to_scene[view])
        points = transform_points(WORLD, origins + 3.0 * directions)
        lens = reconstruction.cameras[view + 1]
        in_image = lens.img_from_cam(transform_points(world_to_camera, points).numpy())
        ours, _ = project(transform_points(invert(read.scene_to_world), points), read.camera(view))
        size = torch.tensor([read.camera(view).width, read.camera(view).height])
        inside = ((ours > 2) & (ours < size - 2)).all(-1).numpy()
        assert inside.sum() > 70
        found = place_in_image(read.images[view], ours.numpy()[inside])
        # Colours are whole numbers: a grey level is 0.6 pixels, so single places are good to about half of that.
        offsets = found - in_image[inside]
        assert np.abs(offsets).max() < 1.0 and np.abs(offsets.mean(axis=0)).max() < 0.1
        # The lens moves points by pixels: without undistortion this would not hold.
        plain, _ = project(transform_points(invert(scene.scene_to_world), points), scene.camera(view))
        assert np.abs(plain.numpy() - in_image).max() > 1.5


def test_a_panorama_is_refused_with_the_suggestion(written):
    _, folder = written
    file = text_model(folder) / "cameras.txt"
    file.write_text("".join(f"{v + 1} EQUIRECTANGULAR {w} {h} {w} {h}\n" for v, (w, h) in enumerate(SIZES)))
    with pytest.raises(InputError, match=r"0\.png: camera model EQUIRECTANGULAR: a panorama.*cut it into perspective images"):
        read_colmap(folder, *REGION)


def test_unregistered_images_are_named_and_passed_over(written):
    scene, folder = written
    shutil.copy(folder / "images" / "0.png", folder / "images" / "blurred.png")
    with pytest.warns(InputWarning, match=r"images: 1 images have no pose in .*sparse.0 and are passed over \(blurred\.png\)"):
        read = read_colmap(folder)
    assert read.names == scene.names


def test_a_model_may_lie_in_sparse_or_in_the_folder_itself(written):
    scene, folder = written
    for file in (folder / "sparse" / "0").iterdir():
        file.rename(folder / "sparse" / file.name)
    (folder / "sparse" / "0").rmdir()
    assert largest_pixel_difference(scene, read_colmap(folder)) < 0.01
    for file in (folder / "sparse").iterdir():
        file.rename(folder / file.name)
    assert largest_pixel_difference(scene, read_colmap(folder)) < 0.01


@pytest.mark.parametrize("n_outliers", [0, 40])
def test_the_region_found_holds_the_object_whatever_lies_behind_it(tmp_path, n_outliers):
    scene = square_scene([(40, 30)] * 10)
    far = torch.randn(n_outliers, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(7)) * 60.0
    points = surface_points()
    folder = write_colmap(scene, tmp_path / "scene", points=torch.cat([points, points[:1] + far]))
    read = read_colmap(folder)
    center, radius = read.scene_to_world[:3, 3], float(read.scene_to_world[0, 0])
    assert float((points - center).norm(dim=-1).max()) < radius < 1.3 * OBJECT_RADIUS * float(WORLD[0, 0])


def test_a_region_given_is_the_region_used(written):
    scene, folder = written
    read = read_colmap(folder, *REGION)
    torch.testing.assert_close(read.scene_to_world, scene.scene_to_world)
    torch.testing.assert_close(read.camera_to_scene, scene.camera_to_scene)


def test_a_model_without_points_says_what_it_took_for_the_object(tmp_path):
    scene = square_scene()
    read = read_colmap(write_colmap(scene, tmp_path / "scene"))
    assert read.region_from == "optical axes"
    assert largest_pixel_difference(scene, read) < 0.01


def test_folders_that_hold_images_under_another_name_are_named(written):
    _, folder = written
    (folder / "images").rename(folder / "images_4")
    with pytest.raises(InputError, match=r"no images/ folder in it; expected .* --set dataset.images=images_4 \(found: images_4\)"):
        read_colmap(folder)


def test_images_made_smaller_see_the_same(written):
    scene, folder = written
    for file in [*(folder / "images").iterdir(), *(folder / "masks").iterdir()]:
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        half = cv2.resize(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(file), half)
    read = read_colmap(folder, *REGION)
    torch.testing.assert_close(2.0 * read.intrinsics[:, :2], scene.intrinsics[:, :2])


def test_images_of_another_crop_are_refused(written):
    scene, folder = written
    cv2.imwrite(str(folder / "images" / "1.png"), scene.images[1][:, :20])
    with pytest.raises(InputError, match=r"1\.png: the image is 20x24 pixels but its camera 32x24"):
        read_colmap(folder)


def test_masks_may_carry_the_name_of_the_image_or_its_stem(written):
    scene, folder = written
    (folder / "masks" / "1.png.png").rename(folder / "masks" / "1.png")
    assert np.array_equal(read_colmap(folder).masks[1], scene.masks[1])
    (folder / "masks" / "1.png").unlink()
    with pytest.raises(InputError, match=r"masks: 5 of 6 images have .* a mask \(1\.png has not\)"):
        read_colmap(folder)
    shutil.rmtree(folder / "masks")
    assert read_colmap(folder).masks is None


def test_masks_that_belong_to_no_image_are_said_to_be_unused(written):
    _, folder = written
    for number, file in enumerate(sorted((folder / "masks").iterdir())):
        file.rename(file.with_name(f"m_{number}_x.png"))
    with pytest.warns(InputWarning, match=r"none of its 6 files is the mask of an image.*such as 0\.png\.png \(m_0_x\.png, "):
        assert read_colmap(folder).masks is None


def test_a_mask_of_another_size_is_refused(written):
    _, folder = written
    cv2.imwrite(str(folder / "masks" / "1.png.png"), np.full((11, 12), 255, np.uint8))
    with pytest.raises(InputError, match=r"1\.png\.png: the mask is 12x11 pixels but its image 32x24"):
        read_colmap(folder)


def test_images_in_folders_of_their_own_are_found(tmp_path):
    scene = square_scene()
    scene = replace(scene, names=[f"camera_{view % 2}/{view}.png" for view in range(len(scene))])
    read = read_colmap(write_colmap(scene, tmp_path / "scene", points=surface_points()))
    order = [scene.names.index(name) for name in read.names]
    assert sorted(order) == list(range(6))
    assert largest_pixel_difference(scene.subset(order), read) < 0.01


def test_what_is_missing_is_named(written, tmp_path):
    _, folder = written
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_colmap(tmp_path / "nowhere")
    (folder / "images" / "2.png").unlink()
    with pytest.warns(InputWarning, match=r"sparse/0: 1 of 6 images do not exist.*\(2\.png\)"):
        assert len(read_colmap(folder)) == 5
    (folder / "images").rename(folder / "photos")
    with pytest.raises(InputError, match="no images/ folder"):
        read_colmap(folder)
    shutil.rmtree(folder / "sparse")
    with pytest.raises(InputError, match="no COLMAP model"):
        read_colmap(folder)


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin"])
def test_a_truncated_model_is_refused(written, file):
    _, folder = written
    path = folder / "sparse" / "0" / file
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="not a readable COLMAP model"):
        read_colmap(folder)


def test_the_colours_tell_the_place():
    y, x = np.mgrid[:90, :120] + 0.5
    pixels = np.stack([x, y], axis=-1)
    places = place_in_image(smooth_colors(pixels, 120, 90), pixels.reshape(-1, 2))
    assert np.abs(places - pixels.reshape(-1, 2)).max() < 0.31


MEASURE = """
import resource, sys
from neus.scenes.colmap import read_colmap
from neus.scenes.selection import Selection
scene = read_colmap(sys.argv[1])
assert len(scene) == 64 and scene.images[0].shape == (1200, 1600, 3)
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30)
"""


@pytest.mark.slow
def test_64_distorted_views_of_two_megapixels_load_below_one_and_a_half_gigabytes(tmp_path):
    scene = square_scene([(16, 12)] * 64)
    scene.intrinsics[:, :2] *= 100.0
    scene = replace(scene, masks=None, names=[f"{view}.jpg" for view in range(64)])
    large = replace(scene, images=[np.zeros((1200, 1600, 3), np.uint8)] * 64)
    folder = write_colmap(large, tmp_path / "scene", "OPENCV")
    with_distortion(folder, large, "OPENCV")
    done = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.5


def text_model(folder):
    """The model of a written scene as older programs write it: text, without rigs and frames."""
    place = folder / "sparse" / "0"
    pycolmap.Reconstruction(str(place)).write_text(str(place))
    for name in ["rigs", "frames", "cameras", "images", "points3D"]:
        (place / f"{name}.bin").unlink(missing_ok=True)
    for name in ["rigs", "frames"]:
        (place / f"{name}.txt").unlink(missing_ok=True)
    return place


def renamed(folder, rename):
    """The images of a written scene by other names; the model keeps the old ones."""
    for file in sorted((folder / "images").iterdir()):
        target = folder / "images" / rename(file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)


def test_names_with_spaces_are_read_from_text_as_from_binary(tmp_path):
    scene = square_scene()
    scene = replace(scene, names=[f"DJI map plan ({view}).png" for view in range(len(scene))])
    folder = write_colmap(scene, tmp_path / "scene", points=surface_points())
    text_model(folder)
    read = read_colmap(folder)
    assert read.names == scene.names and largest_pixel_difference(scene, read) < 0.01


@pytest.mark.parametrize("n_kept", ["none", "all but the last"])
def test_a_text_model_without_lines_of_observations_loses_no_view(tmp_path, n_kept):
    scene = square_scene()
    folder = write_colmap(scene, tmp_path / "scene")
    file = text_model(folder) / "images.txt"
    text = file.read_text()
    file.write_text("\n".join(line for line in text.split("\n") if line.strip()) if n_kept == "none" else text.rstrip())
    read = read_colmap(folder, *REGION)
    assert len(read) == len(scene) and largest_pixel_difference(scene, read) < 0.01


@pytest.mark.parametrize("is_text", [True, False])
def test_a_model_may_have_no_file_of_points(written, is_text):
    scene, folder = written
    place = text_model(folder) if is_text else folder / "sparse" / "0"
    next(place.glob("points3D.*")).unlink()
    assert largest_pixel_difference(scene, read_colmap(folder)) < 0.01


def test_text_with_a_mark_of_windows_is_read(written):
    scene, folder = written
    for file in text_model(folder).iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert largest_pixel_difference(scene, read_colmap(folder)) < 0.01


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PINHOLE", "CAMERA_OBSCURA", r"cameras\.txt: camera 1: CAMERA_OBSCURA"),
        (" 30 ", " 30 1.5 ", r"cameras\.txt: camera 1: 5 parameters, but PINHOLE has fx, fy, cx, cy"),
        ("\n1 ", "\n9 ", r"images\.txt: image 0\.png names camera 1, which cameras\.txt has not"),
    ],
)
def test_a_text_model_that_contradicts_itself_is_named(written, old, new, message):
    _, folder = written
    file = text_model(folder) / "cameras.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_colmap(folder)


def test_the_largest_of_several_models_is_taken_and_named(written):
    scene, folder = written
    smaller = write_colmap(square_scene(SIZES[:2]), folder.parent / "smaller", points=surface_points())
    (folder / "sparse" / "0").rename(folder / "sparse" / "1")
    shutil.copytree(smaller / "sparse" / "0", folder / "sparse" / "0")
    with pytest.warns(InputWarning, match=r"2 sparse models; the largest, sparse/1, .*\(sparse/0: 2 images, sparse/1: 6 images\)"):
        read = read_colmap(folder)
    assert largest_pixel_difference(scene, read) < 0.01


@pytest.mark.parametrize(
    "rename",
    [lambda n: n.upper(), lambda n: n.replace(".png", ".bmp"), lambda n: f"shots/{n}"],
    ids=["case", "ending", "folder"],
)
def test_images_by_other_names_are_found_and_said(written, rename):
    scene, folder = written
    renamed(folder, rename)
    with pytest.warns(InputWarning, match=r"6 images are found by another name than the one given \(0\.png -> "):
        read = read_colmap(folder)
    assert read.names == scene.names and largest_pixel_difference(scene, read) < 0.01


def test_models_made_on_windows_name_images_with_backslashes(written, recwarn):
    scene, folder = written
    renamed(folder, lambda name: f"cam0/{name}")
    file = text_model(folder) / "images.txt"
    file.write_text("\n".join(re.sub(r" (\d\.png)$", r" cam0\\\1", line) for line in file.read_text().split("\n")))
    read = read_colmap(folder)
    assert read.names == [f"cam0/{name}" for name in scene.names] and largest_pixel_difference(scene, read) < 0.01
    assert not [w for w in recwarn.list if "another name" in str(w.message)]


def test_cut_out_images_give_the_masks_and_lie_on_the_background(written):
    scene, folder = written
    shutil.rmtree(folder / "masks")
    for view, file in enumerate(sorted((folder / "images").iterdir())):
        cut_out = np.dstack([scene.images[view][:, :, ::-1], scene.masks[view] * np.uint8(255)])
        file.unlink()
        cv2.imwrite(str(file), cut_out)
    read = read_colmap(folder, background=(0.0, 0.0, 0.0))
    assert read.background.tolist() == [0.0] * 3 and len(read.alphas) == len(scene)
    for view, mask in enumerate(scene.masks):
        assert np.array_equal(read.masks[view], mask)
        assert np.array_equal(read.images[view], scene.images[view] * mask[:, :, None])


def test_cut_out_images_beside_others_are_an_error(written):
    scene, folder = written
    shutil.rmtree(folder / "masks")
    cv2.imwrite(str(folder / "images" / "2.png"), np.dstack([scene.images[2], scene.masks[2] * np.uint8(255)]))
    with pytest.raises(InputError, match=r"1 of 6 images have an alpha channel or a mask \(0\.png has not\)"):
        read_colmap(folder)


def test_an_alpha_channel_that_is_opaque_everywhere_is_no_mask(written):
    scene, folder = written
    shutil.rmtree(folder / "masks")
    for view, file in enumerate(sorted((folder / "images").iterdir())):
        cv2.imwrite(str(file), np.dstack([scene.images[view][:, :, ::-1], np.full_like(scene.images[view][:, :, 0], 255)]))
    read = read_colmap(folder)
    assert read.masks is None and read.alphas is None and read.background is None
    assert all(np.array_equal(found, image) for found, image in zip(read.images, scene.images, strict=True))


def test_views_are_ordered_by_their_whole_path(tmp_path):
    scene = square_scene()
    names = ["cam10/0.png", "cam2/1.png", "cam2/0.png", "cam10/2.png", "cam2/10.png", "cam2/9.png"]
    folder = write_colmap(replace(scene, names=names), tmp_path / "scene", points=surface_points())
    expected = ["cam2/0.png", "cam2/1.png", "cam2/9.png", "cam2/10.png", "cam10/0.png", "cam10/2.png"]
    assert read_colmap(folder).names == expected


def test_views_left_out_are_not_read_at_all(written):
    scene, folder = written
    (folder / "images" / "4.png").write_bytes(b"damaged")
    read = read_colmap(folder, selection=Selection(exclude=("4.png", 1)))
    assert read.names == ["0.png", "2.png", "3.png", "5.png"]
    assert largest_pixel_difference(scene.subset([0, 2, 3, 5]), read) < 0.01


def test_another_folder_of_images_may_be_named(written):
    scene, folder = written
    (folder / "images").rename(folder / "input")
    with pytest.raises(InputError, match="no images/ folder in it.*dataset.images"):
        read_colmap(folder)
    assert largest_pixel_difference(scene, read_colmap(folder, images="input")) < 0.01


def test_intrinsics_in_fractions_of_the_image_are_refused_with_the_suggestion(written):
    _, folder = written
    file = text_model(folder) / "cameras.txt"
    file.write_text("".join(f"{v + 1} PINHOLE {w} {h} 1.3 1.7 0.5 0.5\n" for v, (w, h) in enumerate(SIZES)))
    said = r"view 0 \(0\.png\).*fractions of the image.*first row by its width 40 and the second by its height 30"
    with pytest.raises(InputError, match=said):
        read_colmap(folder)


def test_the_vertical_of_images_held_on_their_side_is_the_one_their_files_note(tmp_path):
    """The stored raster stays as it is, as COLMAP took it; what the camera noted says which side is up."""
    scene = replace(ring_scene([(40, 40)] * 6), masks=None)
    level = common_up([scene.camera(view) for view in range(6)])
    on_side = torch.tensor([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    turned = replace(scene, camera_to_scene=scene.camera_to_scene @ on_side)
    folder = write_colmap(turned, tmp_path / "scene", points=world_points(scene, 60))
    for file in (folder / "images").iterdir():
        image = Image.open(file)
        exif = image.getexif()
        exif[0x0112] = 6  # shown upright after a quarter turn clockwise
        image.save(file, exif=exif)
    noted = read_colmap(folder)
    assert noted.turns == (1,) * 6 and noted.subset([2, 4]).camera(1).turn == 1
    assert float(common_up([noted.camera(view) for view in range(6)]) @ level) > 0.99
