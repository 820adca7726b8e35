import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputWarning
from neus.geometry.cameras import project
from neus.geometry.poses import look_at
from neus.geometry.similarity import similarity
from neus.scenes.idr import read_idr
from neus.scenes.scene import Scene
from neus.scenes.view_order import in_order_of_cameras
from neus.scenes.writers import write_idr


@pytest.fixture(scope="module")
def speckled():
    """Twelve views of bright dots in space, which SIFT finds again from camera to camera."""
    generator = torch.Generator().manual_seed(0)
    dots = 0.7 * torch.nn.functional.normalize(torch.randn(260, 3, dtype=torch.float64, generator=generator), dim=-1)
    sizes, colors = torch.rand(260, generator=generator), torch.randint(90, 256, (260,), generator=generator)
    images, poses = [], []
    k = torch.tensor([[300.0, 0.0, 120.0], [0.0, 300.0, 90.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    for view in range(12):
        angle, height = 0.5 * np.sin(2.1 * view), 0.8 * np.cos(3.7 * view)
        center = torch.tensor([3.0 * np.sin(angle), height, -3.0 * np.cos(angle)], dtype=torch.float64)
        pose = look_at(center, torch.zeros(3).double(), torch.tensor([0.0, -1.0, 0.0]).double())
        image = np.zeros((180, 240, 3), np.uint8)
        camera = Scene([image], None, k[None], pose[None], torch.eye(4).double(), ["a"]).camera(0)
        pixels, depths = project(dots, camera)
        for dot in depths.argsort(descending=True).tolist():
            if depths[dot] < 3.0:
                at = (pixels[dot] * 16).round().int().tolist()
                cv2.circle(image, at, int(16 * (1.5 + 2.5 * float(sizes[dot]))), [int(colors[dot])] * 3, -1, cv2.LINE_AA, 4)
        images.append(image)
        poses.append(pose)
    world = similarity(2.0, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    return Scene(images, None, k.repeat(12, 1, 1), torch.stack(poses), world, [f"{v + 1}.png" for v in range(12)])


def on_disk(scene, folder, cameras_as_text):
    """Images named 1 to 12; view i of the camera file is the i-th name in the order of numbers or of text."""
    write_idr(scene, folder)
    for file in (folder / "image").iterdir():
        file.unlink()
    names = sorted(scene.names) if cameras_as_text else scene.names
    for name, image in zip(names, scene.images, strict=True):
        cv2.imwrite(str(folder / "image" / name), image)
    return names


@pytest.mark.parametrize("cameras_as_text", [False, True])
def test_images_go_to_the_cameras_that_they_fit(speckled, tmp_path, recwarn, cameras_as_text):
    names = on_disk(speckled, tmp_path, cameras_as_text)
    read = read_idr(tmp_path)
    assert read.names == names
    for found, image in zip(read.images, speckled.images, strict=True):
        assert np.array_equal(found, image)
    messages = [str(w.message) for w in recwarn.list]
    assert len(messages) == int(cameras_as_text)
    if cameras_as_text:
        assert "the cameras fit the order of text" in messages[0]


def test_masks_go_with_their_images(speckled, tmp_path):
    on_disk(speckled, tmp_path, cameras_as_text=True)
    (tmp_path / "mask").mkdir()
    for view in range(12):
        mask = np.zeros((180, 240), np.uint8)
        mask[:, : 20 * (view + 1)] = 255
        cv2.imwrite(str(tmp_path / "mask" / f"{view + 1}.png"), mask)
    with pytest.warns(InputWarning, match="order of text"):
        read = read_idr(tmp_path)
    assert [int(mask[0].sum()) // 20 for mask in read.masks] == [int(name[:-4]) for name in read.names]


def test_padded_names_need_no_decision(speckled, tmp_path, recwarn):
    files = [tmp_path / f"{v:03d}.png" for v in range(12)]  # they are not even opened
    assert in_order_of_cameras(files, speckled.intrinsics, speckled.camera_to_scene) == list(range(12))
    assert not recwarn.list
