"""A check finds what was altered in good scenes, names the views, reports what it could not do, and never crashes."""

import json
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch

from neus.checks import check
from neus.checks.check import check_record, check_scene, facts_lines, read_for_check, summary_lines, warn_of_findings
from neus.errors import InputError, InputWarning
from neus.reports import check_image
from neus.reports.check_image import write_check
from neus.runs.load import load_scene
from neus.scenes.readers import DatasetConfig
from neus.scenes.synthetic import render_scene
from neus.scenes.writers import write_colmap, write_idr
from tests.checks.alterations import brightened, found_in, reordered, rotated, smaller, swapped, turned, with_sphere
from tests.scenes.layouts import ring_scene

N_VIEWS, WIDTH = 25, 400  # four rows of the robot's path; half the pixels each way keep this fast
ALTERED = 7


@pytest.fixture(scope="module")
def scene_of(shared):
    @cache
    def read(name):
        folder = shared / "data" / name
        if not folder.is_dir():
            pytest.skip(f"no {name} in the folder `shared`")
        return smaller(load_scene(folder).subset(list(range(N_VIEWS))), WIDTH)

    return read


@pytest.fixture(scope="module")
def skull(scene_of):
    return scene_of("dtu_scan65")


@pytest.mark.parametrize("name", ["dtu_scan65", "dtu_scan24", "lego"])
def test_a_good_scene_raises_no_alarm(scene_of, name):
    assert found_in(scene_of(name)) == {}


@pytest.mark.parametrize("name", ["dtu_scan65", "dtu_scan24"])
@pytest.mark.parametrize(("step", "width"), [(1, 120), (2, 120), (3, 200), (5, 400), (8, 120)])
def test_few_views_and_small_images_of_a_good_scene_raise_no_alarm(scene_of, name, step, width):
    scene = scene_of(name).subset(list(range(0, N_VIEWS, step)))
    assert found_in(smaller(scene, width)) == {}


def test_the_built_in_scene_raises_no_alarm():
    assert found_in(render_scene(views=24, width=240, height=180, antialias=1)) == {}


def test_two_images_exchanged_are_named(skull):
    finding = found_in(reordered(skull, swapped(N_VIEWS, ALTERED)))["photos_misfit"]
    assert set(finding.views) == {ALTERED, ALTERED + 1}
    assert "fits the camera of" in finding.suggestion and "swap" in finding.suggestion


def test_an_order_rotated_by_one_is_found(skull):
    finding = found_in(reordered(skull, rotated(N_VIEWS)))["photos_misfit"]
    assert len(finding.views) > N_VIEWS / 4
    assert "1 position on" in finding.suggestion


def test_masks_of_another_scan_are_found(skull, scene_of):
    finding = found_in(replace(skull, masks=scene_of("dtu_scan24").masks))["masks_off_object"]
    assert len(finding.views) > N_VIEWS / 4
    assert "of this scan" in finding.suggestion


def test_half_of_the_views_with_another_exposure_are_named(skull):
    first, second = set(range(12)), set(range(12, N_VIEWS))
    views = set(found_in(brightened(skull, first))["exposure"].views)
    assert min(len(views ^ first), len(views ^ second)) <= 2


def test_views_of_different_sizes_are_no_reason_for_alarm(skull):
    camera = skull.camera(3).scaled(0.5)
    images, masks, intrinsics = list(skull.images), list(skull.masks), skull.intrinsics.clone()
    images[3] = cv2.resize(images[3], (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    masks[3] = cv2.resize(masks[3].view(np.uint8), (camera.width, camera.height)) > 0
    intrinsics[3] = camera.intrinsics
    assert found_in(replace(skull, images=images, masks=masks, intrinsics=intrinsics)) == {}


def test_what_cannot_be_checked_is_reported(right):
    plain = replace(right, masks=None, images=[np.full_like(image, 128) for image in right.images])
    result = check_scene(plain)
    assert [finding.kind for finding in result.findings] == ["images_flat"]
    said = "\n".join(summary_lines(plain, result))
    assert "not checked: masks" in said and "not checked: pose and exposure of 24 views" in said
    record = json.loads(json.dumps(check_record(plain, result), allow_nan=False))
    assert record["views"][0]["brightness"] is None


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("neus.checks.check", "measure_shape"),
        ("neus.checks.check", "match_neighbours"),
        ("neus.checks.check", "measure_images"),
        ("neus.checks.check", "intrinsics_findings"),
        ("neus.checks.check", "region_findings"),
        ("neus.checks.photo_consistency_findings", "pair_ratio"),
        ("neus.checks.photo_consistency_findings", "triangulated"),
        ("neus.checks.photo_consistency_findings", "outside_masks"),
        ("neus.checks.photo_consistency_findings", "on_object"),
        ("neus.checks.photo_consistency_findings", "better_cameras"),
        ("neus.checks.photo_consistency_findings", "misfits"),
    ],
)
def test_a_part_that_fails_leaves_the_others_standing(right, monkeypatch, place, name):
    def broken(*arguments):
        raise cv2.error("(-215:Assertion failed) !model.empty()\nin function 'setModelParameters'")

    monkeypatch.setattr(f"{place}.{name}", broken)
    scene = turned(reordered(right, swapped(len(right), 12)), ALTERED, 180, 1)
    result = check_scene(scene)
    assert "camera_away" in {finding.kind for finding in result.findings}
    failed = [line for line in result.unchecked if "failed with error" in line]
    assert len(failed) == 1 and "!model.empty()" in failed[0] and "\n" not in failed[0]
    json.dumps(check_record(scene, result), allow_nan=False)
    assert any(line == f"not checked: {failed[0]}" for line in summary_lines(scene, result))


def test_a_image_that_fails_leaves_the_numbers(right, monkeypatch, tmp_path):
    monkeypatch.setattr(check_image, "_legend", lambda *arguments: 1 / 0)
    with pytest.warns(InputWarning, match="check.png: not drawn \\(ZeroDivisionError"):
        folder = write_check(right, check_scene(right, fast=True), tmp_path / "out")
    assert [path.name for path in folder.iterdir()] == ["check.json"]


def test_the_fast_part_warns_of_what_it_finds(right):
    with pytest.warns(InputWarning, match="fills only 0\\.[345]") as caught:
        warn_of_findings(with_sphere(right, 2.2))
    assert len(caught) == 1


def test_the_region_of_interest_is_given_ready_to_paste(right):
    result = check_scene(right, fast=True)
    assert "region of interest: dataset.center=[25.0, -40.0, 610.0] dataset.radius=60.0" in facts_lines(right, result)
    region = check_record(right, result)["region"]
    assert region == {"dataset.center": [25.0, -40.0, 610.0], "dataset.radius": 60.0}


def test_image_and_numbers_are_written(right, tmp_path):
    scene = turned(right, ALTERED, 180, 1)
    folder = write_check(scene, check_scene(scene, fast=True), tmp_path / "out")
    record = json.loads((folder / "check.json").read_text())
    assert record["n_views"] == len(record["views"]) == len(right)
    assert [ALTERED] in [finding["views"] for finding in record["findings"]]
    rendered = cv2.imread(str(folder / "check.png"))
    red = (rendered.astype(int) * [-1, -1, 1]).sum(axis=-1) > 60
    assert red.sum() > 100  # the camera concerned stands out in each of the three panels
    for third in np.array_split(red[40:600], 3, axis=1):
        assert third.sum() > 20


def test_what_the_reader_warns_of_is_a_finding(tmp_path):
    scene = ring_scene([(40, 30)] * 6)
    folder = write_colmap(scene, tmp_path / "scene")
    (folder / "images" / "extra.png").write_bytes((folder / "images" / scene.names[0]).read_bytes())
    read, notes = read_for_check(folder, DatasetConfig())
    assert len(read) == 6 and any("extra.png" in note for note in notes)
    result = check_scene(read, fast=True, notes=notes)
    said = [finding.line(read.names) for finding in result.findings if finding.kind == "reading"]
    assert said == [note.rstrip(".") for note in notes]
    assert check_record(read, result)["warnings"] == notes


def test_cameras_within_the_sphere_and_blind_ones_are_read(tmp_path):
    scene = with_sphere(turned(ring_scene([(40, 30)] * 6), 2, 180, 1), 0.2)
    folder = write_idr(scene, tmp_path / "blind")
    with pytest.raises(InputError, match="cannot see it.*--set 'dataset.exclude="):
        load_scene(folder)
    found = found_in(read_for_check(folder, DatasetConfig())[0], fast=True)
    assert found["camera_away"].views == (2,)


def test_a_scene_without_a_region_of_interest_is_read_and_judged(tmp_path, monkeypatch):
    scene = ring_scene([(40, 30)] * 6)
    folder = write_colmap(scene, tmp_path / "scene")

    def none(*arguments):
        raise check.RegionError("scene: 3 of 9 sparse points lie where the cameras look.")

    monkeypatch.setattr("neus.scenes.posed_scene._found_region", none)
    read, notes = read_for_check(folder, DatasetConfig())
    assert notes[-1] == "scene: 3 of 9 sparse points lie where the cameras look."
    middle = torch.linalg.inv(read.scene_to_world) @ scene.scene_to_world @ torch.tensor([0.0, 0, 0, 1]).double()
    assert float(middle[:3].norm()) < 0.1
