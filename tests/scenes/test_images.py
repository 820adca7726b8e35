import cv2
import numpy as np
import pytest

from neus.errors import InputError
from neus.scenes.images import image_files, natural_order, read_pixels, read_rgb, read_rgba


def noise(height=24, width=32, channels=3, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, (height, width, channels), dtype=dtype, endpoint=True)


def encoded(pixels, ending):
    return cv2.imencode(ending, pixels)[1].tobytes()


@pytest.mark.parametrize("names", [["1.png", "2.png", "10.png"], ["v1_9.png", "v1_10.png", "v2_1.png"]])
def test_images_are_ordered_as_people_count(tmp_path, names):
    for name in reversed(names):
        (tmp_path / name).write_bytes(encoded(noise(), ".png"))
    assert [f.name for f in image_files(tmp_path)] == names


def test_names_with_foreign_digits_can_be_ordered(tmp_path):
    names = ["1³2.png", "½.png", "٣.png", "7.png"]
    assert len(sorted((tmp_path / name for name in names), key=natural_order)) == len(names)


def test_hidden_files_folders_and_notes_are_passed_over(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(noise(), ".png"))
    (tmp_path / "._a.png").write_bytes(b"left behind by a Mac")
    (tmp_path / "notes.txt").write_text("taken in May")
    (tmp_path / "old.png").mkdir()
    assert [f.name for f in image_files(tmp_path)] == ["a.png"]


def test_a_missing_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        image_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no images found"):
        image_files(tmp_path)


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(noise(), ".png"))
    (tmp_path / "b.png").write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"b\.png: not a readable image"):
        image_files(tmp_path)
    with pytest.raises(InputError, match=r"b\.png: not a readable image"):
        read_rgb(tmp_path / "b.png")


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_image_is_refused_wherever_it_ends(tmp_path, ending, fraction):
    data = encoded(noise(), ending)
    file = tmp_path / f"a{ending}"
    file.write_bytes(data[: int(fraction * (len(data) - 12))])
    with pytest.raises(InputError, match=r"a\.(png|jpg): .*(truncated|not a readable)"):
        read_rgb(file)


def jpeg_with_thumbnail(pixels):
    # The thumbnail is a JPEG in a header segment, so its end marker comes long before that of the image.
    thumbnail = b"Exif\x00\x00" + encoded(pixels[:8, :8], ".jpg")
    data = encoded(pixels, ".jpg")
    return data[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + data[2:]


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path):
    file = tmp_path / "a.jpg"
    data = jpeg_with_thumbnail(noise())
    file.write_bytes(data)
    assert read_rgb(file).shape == (24, 32, 3)
    file.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(InputError, match="truncated"):
        read_rgb(file)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_video_clip_behind_an_image_does_no_harm(tmp_path, ending):
    file = tmp_path / f"a{ending}"
    file.write_bytes(encoded(noise(), ending) + b"\xff\xda" * 200 + bytes(5000))
    assert read_rgb(file).shape == (24, 32, 3)


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: no such image"):
        read_pixels(tmp_path / "a.png")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_colour_and_alpha_of_eight_or_sixteen_bits_become_rgb(tmp_path, channels, dtype):
    pixels = noise(channels=channels, dtype=dtype)
    (tmp_path / "a.png").write_bytes(encoded(pixels, ".png"))
    expected = pixels / np.iinfo(dtype).max * 255
    expected = np.repeat(expected, 3, axis=2) if channels == 1 else expected[:, :, 2::-1]
    rgb = read_rgb(tmp_path / "a.png")
    assert rgb.dtype == np.uint8 and rgb.flags["C_CONTIGUOUS"]
    assert np.abs(rgb - expected).max() <= 0.5


def test_the_stored_raster_is_read_whatever_the_camera_held_upright(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    data = encoded(pixels, ".jpg")
    # EXIF with the one tag 0x0112 (orientation) = 6: turn by a quarter.
    tiff = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    assert cv2.imread(str(tmp_path / "a.jpg")).shape[:2] == (40, 20)
    assert read_rgb(tmp_path / "a.jpg").shape[:2] == (20, 40)


def test_alpha_lays_the_image_over_the_background(tmp_path):
    bgra = np.array([[[0, 0, 200, 0], [0, 0, 200, 255], [0, 0, 200, 102]]], np.uint8)
    (tmp_path / "a.png").write_bytes(encoded(bgra, ".png"))
    image, alpha = read_rgba(tmp_path / "a.png", np.array([0.0, 1.0, 0.0]))
    assert image.tolist() == [[[0, 255, 0], [200, 0, 0], [80, 153, 0]]]
    assert alpha.tolist() == [[0, 255, 102]]


def test_an_image_without_alpha_has_none(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(noise(), ".png"))
    assert read_rgba(tmp_path / "a.png", np.ones(3))[1] is None
