"""Image files taken in: what is kept, what is left out, and what is known of their cameras."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from neus.capture.exif import FILM_DIAGONAL, camera_note
from neus.capture.intake import intake_from, take_in, with_local_contrast
from neus.capture.ladder import groups_of
from neus.capture.sources import find_source
from neus.errors import InputError, InputWarning
from neus.scenes.headers import read_header
from neus.scenes.images import read_rgb
from tests.capture.corner import phone_exif, textures

HEIC = Path(__file__).parent / "turned.heic"


def sample_image(seed: int = 0, size: tuple[int, int] = (400, 300)) -> np.ndarray:
    """(H, W, 3) uint8 with something to see."""
    return cv2.resize(np.round(255 * np.dstack(textures(seed))).astype(np.uint8), size)


def taken(folder: Path, work: Path):
    found = find_source(folder)
    return take_in(found.root, found.files, work / "images", work / "features")


def test_images_of_every_format_are_taken_in_with_their_pixels(tmp_path):
    for seed, ending in enumerate(("png", "JPG", "tif", "webp")):
        cv2.imwrite(str(tmp_path / f"{seed}.{ending}"), sample_image(seed))
    cv2.imwrite(str(tmp_path / "4.tiff"), sample_image(4).astype(np.uint16) * 257)
    intake = taken(tmp_path, tmp_path / "work")
    assert [image.original for image in intake.images] == ["0.png", "1.JPG", "2.tif", "3.webp", "4.tiff"] and not intake.left_out
    for image in intake.images:
        assert image.size == (400, 300) == read_header(tmp_path / "work" / "images" / image.name).size
        assert (tmp_path / "work" / "images" / image.name).read_bytes() == (tmp_path / image.original).read_bytes()
        grey = cv2.imdecode(np.frombuffer((tmp_path / "work" / "features" / image.name).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        assert grey.shape == (300, 400)
    assert intake_from(intake.as_dict()) == intake


def test_a_raster_stays_as_it_is_stored_whatever_its_orientation(tmp_path):
    Image.fromarray(sample_image(0)).save(tmp_path / "a.jpg", exif=phone_exif(orientation=6))
    Image.fromarray(sample_image(1)).save(tmp_path / "b.jpg", exif=phone_exif(orientation=1))
    intake = taken(tmp_path, tmp_path / "work")
    assert [image.size for image in intake.images] == [(400, 300), (400, 300)]
    assert [read_header(tmp_path / "work" / "images" / image.name).turn for image in intake.images] == [1, 0]
    assert len(groups_of(intake.images)) == 1


def test_heic_comes_back_in_the_raster_of_the_sensor_with_its_orientation_noted(tmp_path, monkeypatch):
    pytest.importorskip("pi_heif", reason="reads HEIC: an optional package")
    monkeypatch.setattr("neus.capture.intake.LEAST_SIDE", 32)
    shutil.copyfile(HEIC, tmp_path / "IMG_1.HEIC")
    (tmp_path / "IMG_2.HEIC").write_bytes(HEIC.read_bytes()[:300])
    intake = taken(tmp_path, tmp_path / "work")
    (image,) = intake.images
    assert image.name == "IMG_1.jpg" and image.size == (64, 48) and list(intake.left_out) == ["IMG_2.HEIC"]
    copy = tmp_path / "work" / "images" / image.name
    assert read_header(copy).turn == 1
    # Red is on the left above, green below it, blue on the right above: as the sensor had it.
    corners = read_rgb(copy)[[5, 42, 5], [5, 5, 58]].argmax(axis=1)
    assert corners.tolist() == [0, 1, 2]
    assert image.focal == pytest.approx(26 / FILM_DIAGONAL * 80.0)


def test_heic_without_its_package_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    shutil.copyfile(HEIC, tmp_path / "IMG_1.HEIC")
    with pytest.raises(InputError, match="pip install pi-heif"):
        taken(tmp_path, tmp_path / "work")


def test_focal_lengths_are_those_that_the_camera_notes(tmp_path):
    exif = phone_exif(focal_35=28)
    Image.fromarray(sample_image()).save(tmp_path / "a.jpg", exif=exif)
    assert camera_note(tmp_path / "a.jpg", (400, 300)).focal == pytest.approx(28 / FILM_DIAGONAL * 500)
    exif = phone_exif()  # without the equivalent: 5.4 mm at 3106.8 pixels an inch of a raster of 640
    exif.get_ifd(0x8769).update({0x920A: 5.4, 0xA20E: 3106.8, 0xA210: 2, 0xA002: 640})
    Image.fromarray(sample_image()).save(tmp_path / "b.jpg", exif=exif)
    assert camera_note(tmp_path / "b.jpg", (400, 300)).focal == pytest.approx(5.4 * 3106.8 / 25.4 * 400 / 640, rel=1e-4)
    Image.fromarray(sample_image()).save(tmp_path / "c.jpg")
    assert camera_note(tmp_path / "c.jpg", (400, 300)).focal is None


def test_images_of_another_device_lens_or_size_have_a_camera_of_their_own(tmp_path):
    for seed, (model, focal) in enumerate([("A", 26), ("A", 26), ("A", 52), ("B", 26)]):
        Image.fromarray(sample_image(seed)).save(tmp_path / f"{seed}.jpg", exif=phone_exif(focal_35=focal, model=model))
    Image.fromarray(sample_image(4, (320, 240))).save(tmp_path / "4.jpg", exif=phone_exif(focal_35=26, model="A"))
    groups = groups_of(taken(tmp_path, tmp_path / "work").images)
    assert [group.names for group in groups] == [["0.jpg", "1.jpg"], ["2.jpg"], ["3.jpg"], ["4.jpg"]]
    assert groups[1].focal == pytest.approx(2 * groups[0].focal)


def test_large_images_are_reduced_for_features_and_their_focal_length_with_them(tmp_path):
    Image.fromarray(sample_image(0, (3200, 2400))).save(tmp_path / "a.jpg", exif=phone_exif(focal_35=26))
    (image,) = taken(tmp_path, tmp_path / "work").images
    assert image.size == (3200, 2400) and image.feature_size == (1600, 1200)
    (group,) = groups_of([image])
    assert (group.width, group.height) == (1600, 1200) and group.focal == pytest.approx(image.focal / 2)


def test_local_contrast_brings_out_a_dark_side():
    grey = cv2.cvtColor(sample_image(), cv2.COLOR_RGB2GRAY)
    grey[:, :200] //= 12
    assert with_local_contrast(grey)[:, :200].std() > 2.0 * grey[:, :200].std()


def test_names_begin_below_the_folders_that_all_images_share(tmp_path):
    for folder in ("a/b/c", "a/b/d"):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "1.jpg"), sample_image())
    assert find_source(tmp_path).root == tmp_path / "a" / "b"


def test_hidden_files_are_passed_over_and_raw_files_are_named(tmp_path):
    for name in ("1.jpg", ".2.jpg", "__MACOSX/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), sample_image())
    (tmp_path / "4.dng").write_bytes(b"")
    with pytest.warns(InputWarning, match="1 raw files beside 1 images"):
        assert [file.name for file in find_source(tmp_path).files] == ["1.jpg"]


def test_a_thumbnail_is_left_out(tmp_path):
    cv2.imwrite(str(tmp_path / "small.jpg"), sample_image(0, (160, 120)))
    cv2.imwrite(str(tmp_path / "whole.jpg"), sample_image(1))
    intake = taken(tmp_path, tmp_path / "work")
    assert intake.left_out == {"small.jpg": "a thumbnail of 160x120 pixels"} and len(intake.images) == 1
