"""A check finds what was altered in good scenes, names the views, and has nothing to say about the good ones."""

import json
import math
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch

from neus.checks.check import (
    check_record,
    check_scene,
    read_for_check,
    summary_lines,
    warn_of_findings,
)
from neus.errors import InputWarning
from neus.geometry.poses import rotation_from_vector
from neus.reports.check_picture import write_check
from neus.runs.load import load_scene
from neus.scenes.readers import DatasetConfig
from neus.scenes.synthetic import render_scene
from neus.stereo import matches

N_VIEWS, WIDTH = 25, 400  # four rows of the robot's path; half the pixels each way keep this fast
ALTERED, BRIGHTENED = 7, 1.5


@pytest.fixture(scope="module", autouse=True)
def each_photograph_looked_at_once():
    """The same photographs are matched in many altered scenes: what SIFT finds in them is kept."""
    known, find = {}, matches._features
    with pytest.MonkeyPatch.context() as patch:

        def features(image, count):
            key = (image.tobytes(), count)
            if key not in known:
                known[key] = find(image, count)
            return known[key]

        patch.setattr(matches, "_features", features)
        yield


@pytest.fixture(scope="module")
def scene_of(shared):
    @cache
    def read(name):
        folder = shared / "data" / name
        if not folder.is_dir():
            pytest.skip(f"no {name} in the folder `shared`")
        return smaller(load_scene(folder).subset(list(range(N_VIEWS))))

    return read


@pytest.fixture(scope="module")
def skull(scene_of):
    return scene_of("dtu_scan65")


def smaller(scene):
    cameras = [scene.camera(view) for view in range(len(scene))]
    cameras = [camera.scaled(WIDTH / camera.width) for camera in cameras]
    sizes = [(camera.width, camera.height) for camera in cameras]
    return replace(
        scene,
        images=[cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i, size in zip(scene.images, sizes, strict=True)],
        masks=[
            cv2.resize(255 * m.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 127
            for m, size in zip(scene.masks, sizes, strict=True)
        ],
        intrinsics=torch.stack([camera.intrinsics for camera in cameras]),
    )


def reordered(scene, order, images=True, masks=True):
    return replace(
        scene,
        images=[scene.images[i] for i in order] if images else scene.images,
        masks=[scene.masks[i] for i in order] if masks else scene.masks,
    )


def swapped(n, view):
    order = list(range(n))
    order[view], order[view + 1] = view + 1, view
    return order


def with_sphere(scene, factor):
    """The same world with a unit sphere `factor` times as large."""
    poses, scale = scene.camera_to_scene.clone(), scene.scene_to_world.clone()
    poses[:, :3, 3] /= factor
    scale[:3, :3] *= factor
    return replace(scene, camera_to_scene=poses, scene_to_world=scale)


def turned(scene, view, degrees, axis):
    poses = scene.camera_to_scene.clone()
    vector = torch.zeros(3, dtype=poses.dtype)
    vector[axis] = math.radians(degrees)
    poses[view, :3, :3] = poses[view, :3, :3] @ rotation_from_vector(vector)
    return replace(scene, camera_to_scene=poses)


def brightened(scene, views, factor=BRIGHTENED):
    return replace(
        scene,
        images=[
            (image * np.float32(factor)).clip(0, 255).round().astype(np.uint8) if view in views else image
            for view, image in enumerate(scene.images)
        ],
    )


def found_in(scene):
    return {finding.kind: finding for finding in check_scene(scene).findings}


@pytest.mark.parametrize("name", ["dtu_scan65", "dtu_scan24", "lego"])
def test_a_good_scene_raises_no_alarm(scene_of, name):
    assert found_in(scene_of(name)) == {}


def test_the_built_in_scene_raises_no_alarm():
    assert found_in(render_scene(views=24, width=240, height=180, antialias=1)) == {}


@pytest.mark.parametrize("with_masks", [True, False])
def test_two_photographs_exchanged_are_named(skull, with_masks):
    finding = found_in(reordered(skull, swapped(N_VIEWS, ALTERED), masks=with_masks))["photos_misfit"]
    assert set(finding.views) == {ALTERED, ALTERED + 1}
    assert "fits the camera of" in finding.remedy and "swap" in finding.remedy


@pytest.mark.parametrize("with_masks", [True, False])
def test_an_order_rotated_by_one_is_found(skull, with_masks):
    order = [(i + 1) % N_VIEWS for i in range(N_VIEWS)]
    finding = found_in(reordered(skull, order, masks=with_masks))["photos_misfit"]
    assert len(finding.views) > N_VIEWS / 4
    assert "1 place on" in finding.remedy


def test_masks_rotated_by_one_are_found(skull):
    order = [(i + 1) % N_VIEWS for i in range(N_VIEWS)]
    found = found_in(reordered(skull, order, images=False))
    assert "masks_off_object" in found and "photos_misfit" not in found


def test_masks_of_another_scan_are_found(skull, scene_of):
    finding = found_in(replace(skull, masks=scene_of("dtu_scan24").masks))["masks_off_object"]
    assert len(finding.views) > N_VIEWS / 4
    assert "of this scan" in finding.remedy


@pytest.mark.parametrize("has_masks", [True, False])
@pytest.mark.parametrize(
    ("factor", "kind"), [(3.0, "region_too_large"), (1 / 3, "region_too_small"), (2.0, "region_too_large")]
)
def test_a_wrong_sphere_is_found(skull, factor, kind, has_masks):
    scene = with_sphere(skull if has_masks else replace(skull, masks=None), factor)
    assert set(found_in(scene)) == {kind}


@pytest.mark.parametrize(("degrees", "axis"), [(30, 1), (30, 2), (-5, 0)], ids=["away", "rolled", "tilted"])
def test_one_turned_camera_is_named(skull, degrees, axis):
    assert found_in(turned(skull, ALTERED, degrees, axis))["photos_misfit"].views == (ALTERED,)


@pytest.mark.parametrize("factor", [BRIGHTENED, 1 / BRIGHTENED])
def test_one_view_with_other_exposure_is_named(skull, factor):
    assert found_in(brightened(skull, {ALTERED}, factor))["exposure"].views == (ALTERED,)


def test_half_of_the_views_exposed_otherwise_are_named(skull):
    first, second = set(range(12)), set(range(12, N_VIEWS))
    views = set(found_in(brightened(skull, first))["exposure"].views)
    assert min(len(views ^ first), len(views ^ second)) <= 2


def test_masks_that_are_empty_full_or_cut_are_named(skull):
    masks = list(skull.masks)
    masks[2], masks[5] = np.zeros_like(masks[2]), np.ones_like(masks[5])
    masks[ALTERED] = masks[ALTERED].copy()
    masks[ALTERED][:, : WIDTH // 2] = False
    found = found_in(replace(skull, masks=masks))
    assert found["masks_empty"].views == (2,) and found["masks_full"].views == (5,)
    assert ALTERED in found["masks_off_object"].views


def test_cameras_inside_the_sphere_and_blind_ones_are_named(skull):
    scene = turned(with_sphere(skull, 1.2 * float(skull.camera_to_scene[0, :3, 3].norm())), ALTERED, 180, 1)
    assert 0 in found_in(scene)["camera_inside"].views
    assert found_in(turned(skull, ALTERED, 180, 1))["camera_away"].views == (ALTERED,)


def test_views_of_different_sizes_are_no_reason_for_alarm(skull):
    half = smaller(skull.subset([3]))
    camera = half.camera(0).scaled(0.5)
    images, masks, intrinsics = list(skull.images), list(skull.masks), skull.intrinsics.clone()
    images[3] = cv2.resize(images[3], (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    masks[3] = cv2.resize(masks[3].view(np.uint8), (camera.width, camera.height)) > 0
    intrinsics[3] = camera.intrinsics
    assert found_in(replace(skull, images=images, masks=masks, intrinsics=intrinsics)) == {}


@pytest.mark.parametrize("has_masks", [True, False])
def test_three_views_are_checked_and_said_to_be_few(skull, has_masks):
    scene = skull.subset([7, 8, 9])
    assert set(found_in(scene if has_masks else replace(scene, masks=None))) == {"few_views"}


def test_what_cannot_be_checked_is_said(skull):
    plain = replace(skull, masks=None, images=[np.full_like(image, 128) for image in skull.images])
    result = check_scene(plain)
    assert not result.findings
    said = "\n".join(summary_lines(plain, result))
    assert "not checked: masks" in said and "not checked: pose and exposure of 25 views" in said
    write_record = json.dumps(check_record(plain, result), allow_nan=False)
    assert json.loads(write_record)["views"][0]["brightness"] is None


def test_the_fast_part_warns_of_what_it_finds(skull):
    with pytest.warns(InputWarning, match="fills only 0\\.[345]") as caught:
        warn_of_findings(with_sphere(skull, 3.0))
    assert len(caught) == 1


def test_picture_and_numbers_are_written(skull, tmp_path):
    scene = turned(skull, ALTERED, 30, 1)
    folder = write_check(scene, check_scene(scene, fast=True), tmp_path / "out")
    record = json.loads((folder / "check.json").read_text())
    assert record["n_views"] == len(record["views"]) == N_VIEWS
    assert record["findings"][0]["views"] == [ALTERED]
    picture = cv2.imread(str(folder / "check.png"))
    red = (picture.astype(int) * [-1, -1, 1]).sum(axis=-1) > 60
    assert red.sum() > 100  # the camera concerned stands out in each of the three panels
    for third in np.array_split(red[40:600], 3, axis=1):
        assert third.sum() > 20


def test_cameras_within_the_sphere_are_read(tmp_path, scene_folder):
    scene = read_for_check(scene_folder, DatasetConfig())
    assert len(scene) == 4
