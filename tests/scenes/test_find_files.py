import cv2
import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.find_files import ImageFolder, find_images


def images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(cv2.imencode(".png", np.zeros((2, 3, 3), np.uint8))[1].tobytes())
    return folder


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("images/0.png", "images/0.png"),
        ("images/0.png", "./images/0.png"),
        ("train/r_0.png", "./train/r_0"),
        ("0001.png.png", "0001.png"),
        ("cam0/000.jpg", "cam0\\000.jpg"),
        ("images/a b (3).jpg", "C:\\Users\\me\\scene\\images\\a b (3).jpg"),
        ("images/7.jpg", "/content/drive/MyDrive/scene/images/7.jpg"),
        ("000.jpg", "shots/000.jpg"),
        ("images/000.JPG", "images/000.jpg"),
        ("Images/IMG_1.JPG", "images/img_1.jpg"),
        ("images/000.png", "images/000.jpg"),
        ("deep/er/photo.png", "elsewhere/photo.png"),
        ("deep/er/photo.webp", "elsewhere/Photo.JPG"),
        ("v1.5.png", "v1.5"),
    ],
)
def test_an_image_is_found_by_the_name_that_its_camera_gives_it(tmp_path, file, name):
    images(tmp_path, file, "images/other.png", "masks/000.png", "masks/photo.png")
    assert ImageFolder(tmp_path).find(name) == tmp_path / file


def test_a_name_does_not_find_another_image_of_the_view(tmp_path):
    images(tmp_path, "train/r_1_depth.png", "masks/r_1.png", "depths/r_1.png")
    assert ImageFolder(tmp_path).find("train/r_1") is None
    for impossible in ("", ".", "x" * 5000, "a\0b"):
        assert ImageFolder(tmp_path).find(impossible) is None


def test_the_path_as_written_wins_over_every_likeness(tmp_path):
    images(tmp_path, "a/0.png", "b/0.png", "b/0.jpg", "0.png")
    folder = ImageFolder(tmp_path)
    assert folder.find("b/0.png") == tmp_path / "b/0.png"
    assert folder.find("b/0.jpg") == tmp_path / "b/0.jpg"


@pytest.mark.parametrize("name", ["x/0.png", "x/0.bmp"])
def test_several_files_that_fit_equally_well_are_an_error(tmp_path, name):
    images(tmp_path, "a/0.png", "b/0.png")
    with pytest.raises(InputError, match=r"2 files could be the image x/0.* \(a/0\.png, b/0\.png\)"):
        ImageFolder(tmp_path).find(name)


def test_two_names_never_share_a_file_that_only_resembles_them(tmp_path):
    images(tmp_path, "000.jpg")
    with pytest.raises(InputError, match="cam0/000.jpg and cam1/000.jpg would both be 000.jpg"):
        find_images(tmp_path, ["cam0/000.jpg", "cam1/000.jpg"], tmp_path)


def test_other_names_and_missing_images_are_named_once_each(tmp_path):
    images(tmp_path, *(f"{i}.JPG" for i in range(5)))
    with pytest.warns(InputWarning) as caught:
        found = find_images(tmp_path, [f"{i}.jpg" for i in range(7)], tmp_path / "cameras")
    assert found == [tmp_path / f"{i}.JPG" for i in range(5)] + [None, None]
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "5 images are found by another name" in messages[0] and "0.jpg -> 0.JPG" in messages[0]
    assert "2 of 7 images do not exist" in messages[1] and "(5.jpg, 6.jpg)" in messages[1]


def test_images_found_as_written_are_not_warned_of(tmp_path, recwarn):
    find_images(images(tmp_path, "a.png", "b/c.png"), ["a", "b\\c.png"], tmp_path)
    assert not recwarn.list


@pytest.mark.parametrize(("n_missing", "is_refused"), [(17, False), (22, False), (23, True)])
def test_more_than_a_third_missing_is_another_folder(tmp_path, n_missing, is_refused):
    names = [f"{i}.png" for i in range(67)]
    images(tmp_path, *names[n_missing:])
    if is_refused:
        with pytest.raises(InputError, match=f"{n_missing} of 67 images are not in .*no such image 0.png"):
            find_images(tmp_path, names, tmp_path)
    else:
        with pytest.warns(InputWarning, match=f"{n_missing} of 67 images do not exist"):
            assert find_images(tmp_path, names, tmp_path).count(None) == n_missing
