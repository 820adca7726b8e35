import pytest

from neus.errors import InputError
from neus.scenes.colmap_text import read_cameras_text, read_images_text, read_points_text

IMAGES = """# comment
1 1.0 0 0 0 0.5 -2e-3 4 1 DJI map plan (3).jpg
10.5 20.5 -1 30.0 40.0 7

2 0.5 0.5 0.5 0.5 1 2 3 4 cam0/2.png
"""


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_a_name_is_the_rest_of_its_line(tmp_path):
    images = read_images_text(written(tmp_path / "images.txt", IMAGES))
    assert images == [
        ("DJI map plan (3).jpg", 1, [1.0, 0.0, 0.0, 0.0, 0.5, -2e-3, 4.0], 1),
        ("cam0/2.png", 4, [0.5, 0.5, 0.5, 0.5, 1.0, 2.0, 3.0], 2),
    ]


@pytest.mark.parametrize("observations", ["", "\n", "10 20 -1\n", "1 2 3 4 5 6 7 8 9\n", "1 2 3 4 5 6 7 8 9 1 2 3\n"])
def test_an_image_begins_where_a_pose_and_a_name_stand_whatever_precedes(tmp_path, observations):
    lines = "".join(f"{i} 1 0 0 0 0 0 {i} 1 {name}\n{observations}" for i, name in enumerate(["a.png", "b 2.png", "0003"]))
    images = read_images_text(written(tmp_path / "images.txt", lines))
    assert [name for name, *_ in images] == ["a.png", "b 2.png", "0003"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends_of_windows_change_nothing(tmp_path, encoding, end):
    text = IMAGES.replace("map plan", "größe").replace("\n", end)
    images = read_images_text(written(tmp_path / "images.txt", text, encoding))
    assert [name for name, *_ in images] == ["DJI größe (3).jpg", "cam0/2.png"]
    cameras = written(tmp_path / "cameras.txt", f"1 PINHOLE 40 30 1 2 3 4{end}", encoding)
    assert read_cameras_text(cameras) == {1: ("PINHOLE", 40, 30, [1.0, 2.0, 3.0, 4.0])}


def test_points_come_with_the_lengths_of_their_tracks(tmp_path):
    points, lengths, *_ = read_points_text(written(tmp_path / "p.txt", "7 1 2 3 9 9 9 0.5 1 0 2 0 3 5\n8 -1 0 1e2 9 9 9 0.5\n"))
    assert points.tolist() == [[1, 2, 3], [-1, 0, 100]] and lengths.tolist() == [3, 0]
    points, lengths, *_ = read_points_text(written(tmp_path / "p.txt", "# none\n"))
    assert points.shape == (0, 3) and lengths.shape == (0,)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_images_text, "# a\n1 1 0 0 0 0 0 0 1 a.png\n\noops here it is\n", "line 4 is 'oops here it is', expected an image"),
        (read_images_text, "1 nan 0 0 0 0 0 0 1 a.png\n", "line 1 is"),
        (read_images_text, "1 1 0 0 0 0 0 - 1 a.png\n", "line 1 is .* expected seven numbers of a pose"),
        (read_cameras_text, "1 PINHOLE 40\n", "line 1 is '1 PINHOLE 40', expected a camera"),
        (read_cameras_text, "1 PINHOLE -1 30 1 1 1 1\n", "line 1 is .* expected a camera"),
        (read_cameras_text, "1 PINHOLE inf 30 1 1 1 1\n", "line 1 is .* expected a camera"),
        (read_cameras_text, "\none PINHOLE 40 30 1\n", "line 2 is"),
        (read_points_text, "1 2 3\n", "line 1 is '1 2 3', expected a point"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, read, text, message):
    with pytest.raises(InputError, match=message):
        read(written(tmp_path / "model.txt", text))
