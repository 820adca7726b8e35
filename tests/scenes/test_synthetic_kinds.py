"""Scenes of known shape with one thing wrong at a time: each degradation does what its name says, and nothing else."""

import json

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.evaluation.dense import dense_agreement
from neus.scenes.degradations import JPEG_QUALITY, Imaging, developed, drawn_badly, turned
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import KIND_FILE, body_of, render_scene, write_synthetic, written_kind
from neus.scenes.synthetic_kinds import ALL, DEGRADATIONS, EXCLUSIVE, SyntheticKind, kind_of
from neus.scenes.synthetic_shapes import SHAPES

SIZE = {"views": 4, "width": 64, "height": 48, "antialias": 1}


@pytest.fixture(scope="module")
def rendered():
    """Scenes by kind, each rendered once."""
    made = {}

    def scene(kind):
        return made.setdefault(kind, render_scene(**SIZE, kind=kind))

    return scene


def object_pixels(scene):
    return np.concatenate([image[mask] for image, mask in zip(scene.images, scene.masks, strict=True)]).astype(float)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_seen_by_every_view_and_lies_within_its_bounding_sphere(shape, rendered):
    scene, body = rendered(shape), body_of(shape)
    assert all(0.04 < mask.mean() < 0.5 for mask in scene.masks)
    directions = torch.nn.functional.normalize(torch.randn(2000, 3, dtype=torch.float64), dim=-1)
    assert (body.sdf(body.radius * directions) > 0.0).all() and body.radius < 1.0
    assert len(SHAPES[shape].names) == len(SHAPES[shape].paints)


def test_a_kind_is_read_as_it_is_written():
    for text in ("house", "house+noise+gain", "rods+masks-thick@3", "cup@1"):
        assert str(kind_of(text)) == text
    assert kind_of("relief+all").degradations == ALL and kind_of("cup") == SyntheticKind()
    assert all(kind_of(f"cup+{name}").degradations == (name,) for name in DEGRADATIONS)
    assert not any(len(set(ALL) & set(group)) > 1 for group in EXCLUSIVE)


@pytest.mark.parametrize("text", ["castle", "", "house+rain", "+noise", "house+"])
def test_unknown_names_are_answered_with_those_there_are(text):
    with pytest.raises(InputError) as error:
        kind_of(text)
    assert all(name in str(error.value) for name in (*SHAPES, *DEGRADATIONS)) and "\n" not in str(error.value)


def test_contradictions_and_seeds_that_are_none_are_refused():
    with pytest.raises(InputError, match="poses0.3 and poses1 exclude each other"):
        kind_of("house+poses0.3+poses1")
    with pytest.raises(InputError, match="'x' is no seed"):
        kind_of("house@x")


def test_the_same_kind_is_the_same_scene_and_another_seed_another(rendered):
    scene, again, other = (render_scene(**SIZE, kind=f"tins+all{seed}") for seed in ("", "", "@1"))
    assert all(np.array_equal(a, b) for a, b in zip(scene.images, again.images, strict=True))
    assert torch.equal(scene.camera_to_scene, again.camera_to_scene)
    assert not torch.allclose(scene.camera_to_scene, other.camera_to_scene)


@pytest.mark.parametrize("name", ["shadows", "headlight", "gloss0.1", "gloss0.3", "metal"])
def test_light_changes_the_object_alone_and_not_its_outline(name, rendered):
    right, wrong = rendered("cup"), rendered(f"cup+{name}")
    assert torch.equal(right.camera_to_scene, wrong.camera_to_scene)
    for a, b, mask, other in zip(right.images, wrong.images, right.masks, wrong.masks, strict=True):
        assert np.array_equal(mask, other) and np.array_equal(a[~mask], b[~mask])
    assert np.abs(object_pixels(right) - object_pixels(wrong)).mean() > 0.5


def test_shadows_only_take_light_away(rendered):
    change = object_pixels(rendered("house+shadows")) - object_pixels(rendered("house"))
    assert change.max() <= 1.0 and (change < -20.0).any(axis=1).mean() > 0.02


def test_gloss_only_adds_light_and_the_smoother_surface_has_the_brighter_highlight(rendered):
    matt, rough, smooth = (object_pixels(rendered(kind)) for kind in ("white", "white+gloss0.3", "white+gloss0.1"))
    assert smooth.max() > rough.max() and smooth.max() > matt.mean() + 60.0


def test_5_percent_of_the_objects_pixels_are_saturated(rendered):
    assert (object_pixels(rendered("house+saturated")).max(axis=1) == 255.0).mean() == pytest.approx(0.05, abs=0.005)
    assert (object_pixels(rendered("house")).max(axis=1) == 255.0).mean() < 0.005


GREY = [np.full((120, 160, 3), level, np.float32) for level in (0.2, 0.6)]
WHOLE = [np.ones((120, 160), bool)] * 2


@pytest.mark.parametrize("view, level", [(0, 0.2), (1, 0.6)])
def test_noise_has_the_variance_it_should(view, level):
    noisy = developed(GREY, WHOLE, Imaging(noise=True), seed=0)[view].astype(float)
    # Rounding adds a twelfth.
    assert noisy.var() == pytest.approx(0.6 * 255.0 * level + 4.0 + 1.0 / 12.0, rel=0.03)
    assert noisy.mean() == pytest.approx(255.0 * level, abs=0.2)


def test_gains_lie_within_a_fifth_and_differ_between_views():
    images = developed(GREY[1:] * 20, WHOLE[1:] * 20, Imaging(gain=True), seed=0)
    gains = np.array([image.mean() / (0.6 * 255.0) for image in images])
    assert gains.min() > 0.79 and gains.max() < 1.21 and gains.std() > 0.05


def test_blur_spreads_an_edge_by_its_sigma():
    image = np.zeros((21, 21, 3), np.float32)
    image[10, 10] = 1.0
    (blurred,) = developed([image], [np.ones((21, 21), bool)], Imaging(blur=True), seed=0)
    row = blurred[..., 0].sum(axis=0).astype(float)
    assert np.sqrt((row * (np.arange(21) - 10.0) ** 2).sum() / row.sum()) == pytest.approx(0.7, abs=0.05)


def test_jpeg_is_what_a_file_of_that_quality_holds(rendered):
    (found,) = developed([rendered("cup").images[0] / np.float32(255.0)], [np.ones((48, 64), bool)], Imaging(jpeg=True), 0)
    _, coded = cv2.imencode(".jpg", rendered("cup").images[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert np.array_equal(found, cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])


def test_masks_are_two_pixels_off_or_without_thin_parts():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    mask[20, 30:38] = True
    wide, narrow, thick = (drawn_badly(mask, how) for how in ("wide", "narrow", "thick"))
    assert wide[8, 20] and not wide[7, 20] and narrow[12, 20] and not narrow[11, 20]
    assert not thick[20, 33] and thick[15:25, 15:25].all() and thick[10, 20]
    assert np.array_equal(drawn_badly(mask, ""), mask)


@pytest.mark.parametrize("pixels", [0.3, 1.0])
def test_turned_cameras_move_images_by_about_so_many_pixels(pixels, rendered):
    scene = rendered("cup")
    poses, focal = scene.camera_to_scene.repeat(100, 1, 1), scene.intrinsics[0, 0, 0]
    found = turned(poses, scene.intrinsics.repeat(100, 1, 1), pixels, seed=0)
    assert torch.equal(found[:, :3, 3], poses[:, :3, 3])
    forward = (found[:, :3, 2].unsqueeze(1) @ poses[:, :3, :3]).squeeze(1)
    moved = focal * forward[:, :2] / forward[:, 2:]
    assert moved.std(dim=0).tolist() == pytest.approx([pixels, pixels], rel=0.15)


def test_a_written_scene_tells_its_kind_and_reads_as_any_other(tmp_path):
    folder = write_synthetic(tmp_path / "house", **SIZE, kind="house+gain")
    assert written_kind(folder) == kind_of("house+gain")
    assert json.loads((folder / KIND_FILE).read_text()) == {"kind": "house+gain"}
    assert len(read_scene(folder)) == SIZE["views"]
    assert written_kind(tmp_path) is None
    (tmp_path / KIND_FILE).write_text("[]")
    assert written_kind(tmp_path) is None


def test_left_out_images_agree_with_the_exact_surface_and_a_degradation_shows():
    # 24 views of 96x72: parallax of 20 degrees and more, pixels of 0.028 scene units.
    axis = torch.linspace(-1.0, 1.0, 96)
    lattice = body_of("house").sdf(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)).numpy()
    right, wrong = (
        dense_agreement(lattice, render_scene(24, 96, 72, kind=kind), [3, 9, 15, 21]) for kind in ("house", "house+noise+poses1")
    )
    assert right.offset_px < 0.3 < wrong.offset_px and right.disagreement < wrong.disagreement
