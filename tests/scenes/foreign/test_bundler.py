"""Bundler's bundle.out, written from its manual, and the one of its authors' example."""

import numpy as np
import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.geometry.poses import invert
from neus.geometry.similarity import similarity, transform_points
from neus.runs.run import in_known_region
from neus.scenes.readers import DatasetConfig, read_scene
from tests.scenes.foreign.rig import (
    DATA,
    FOCAL,
    MIDDLE,
    NAMES,
    POINTS,
    ROTATIONS,
    TRANSLATIONS,
    assert_scene_shows,
    assert_shows,
    brown,
    matrix_text,
    posed_of,
    write_images,
)

K1, K2 = -0.21, 0.06
KERMIT = DATA / "kermit_et" / "kermit"


def write(folder, first="", last=""):
    """Cameras look along -z with y up, so rows 2 and 3 change their signs; the first camera is not registered."""
    flip = np.diag([1.0, -1.0, -1.0])
    cameras = ["0 0 0\n" + "0 0 0\n" * 4]
    for rotation, translation in zip(ROTATIONS, TRANSLATIONS, strict=True):
        cameras.append(f"{FOCAL} {K1} {K2}\n{matrix_text(flip @ rotation)}\n{matrix_text([flip @ translation])}\n")
    points = [f"{x!r} {y!r} {z!r}\n200 100 50\n2 1 7 0.0 0.0 3 8 1.0 1.0\n" for x, y, z in POINTS.tolist()]
    folder.mkdir(exist_ok=True)
    head = f"# Bundle file v0.3\n{len(cameras)} {len(points)}\n"
    (folder / "bundle.out").write_text(first + head + "".join(cameras) + "".join(points) + last)
    write_images(folder / "images")
    (folder / "list.txt").write_text("images/lost.png 0 120.0\n" + "".join(f"images/{n} 0 {FOCAL}\n" for n in NAMES))
    return folder


def expected():
    return [brown(view, center=MIDDLE, k=(K1, K2, 0.0)) for view in range(4)]


def test_a_bundle_shows_points_where_its_manual_says(tmp_path):
    folder = write(tmp_path / "scene")
    with pytest.warns(InputWarning, match=r"1 of 5 cameras are not registered and are left out \(images/lost.png"):
        posed = posed_of(folder, "bundler")
    assert_shows(posed, expected())
    assert np.allclose(posed.points.positions, POINTS) and posed.points.colors[0].tolist() == [200, 100, 50]
    assert sorted(set(posed.points.track_views.tolist())) == [0, 2] and set(posed.points.lengths.tolist()) == {2}


@pytest.mark.filterwarnings("ignore:.*not registered")
def test_a_scene_of_a_bundle_has_its_distortion_taken_out(tmp_path):
    scene = assert_scene_shows(write(tmp_path / "scene"), expected())
    assert scene.names == NAMES and scene.region_from == "sparse points" and scene.format == "bundler"
    assert scene.subset([2, 0]).points.track_views.tolist()[:2] == [1, 0]
    assert read_scene(tmp_path / "scene" / "bundle.out").names == NAMES


@pytest.mark.filterwarnings("ignore:.*not registered")
def test_a_run_keeps_the_region_that_it_was_trained_in(tmp_path):
    folder = write(tmp_path / "scene")
    frame = similarity(0.9, torch.tensor([3.0, -2.0, 7.1], dtype=torch.float64))
    read = read_scene(folder, in_known_region(DatasetConfig(), folder, frame))
    assert torch.allclose(read.scene_to_world, frame) and read.region_from == ""


@pytest.mark.filterwarnings("ignore:.*not registered")
def test_without_a_list_the_images_are_taken_in_their_order(tmp_path):
    folder = write(tmp_path / "scene")
    (folder / "list.txt").unlink()
    with pytest.raises(InputError, match=r"5 cameras but 4 images in .*images; expected one for each.*list.txt"):
        read_scene(folder)
    write_images(folder / "images", ["A.png"])
    assert_shows(posed_of(folder, "bundler"), expected())


@pytest.mark.filterwarnings("ignore:.*not registered")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"{FOCAL} {K1}", f"{FOCAL}", "line 8: 2 words, expected f, k1, k2 of a camera"),
        (f"{FOCAL} {K1}", f"{FOCAL} half", "line 8: 'half' is no number"),
        ("2 1 7 0.0", "3 1 7 0.0", "line 30: 8 numbers, expected 12"),
        (f"5 {len(POINTS)}", f"5 {len(POINTS) + 1}", "it ends where the place of a point should follow"),
        (f"5 {len(POINTS)}", "5 -1", "line 2: 5 and -1 as the numbers of cameras and points, but 325 lines follow"),
        (f"5 {len(POINTS)}", "5 1e12", "line 2: 5 and 1e.12 as the numbers of cameras and points"),
    ],
)
def test_a_damaged_bundle_is_named_with_its_line(tmp_path, old, new, said):
    folder = write(tmp_path / "scene")
    text = (folder / "bundle.out").read_text()
    assert old in text
    (folder / "bundle.out").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_scene(folder)


@pytest.mark.skipif(not KERMIT.is_dir(), reason="Bundler's example is not in ../shared/data")
@pytest.mark.filterwarnings("ignore:.*not registered")
def test_the_points_of_bundlers_own_example_fall_where_it_saw_them():
    scene = read_scene(KERMIT)
    lines = [line.split() for line in (KERMIT / "bundle.out").read_text().splitlines()[1:]]
    registered = [camera for camera in range(11) if float(lines[1 + 5 * camera][0])]
    assert scene.names == [f"kermit{camera:03d}.jpg" for camera in registered]
    posed = posed_of(KERMIT, "bundler")
    offsets = []
    for start in range(56, len(lines), 3):
        place = transform_points(
            invert(scene.scene_to_world), torch.tensor([[float(w) for w in lines[start]]]).double()
        )
        for camera, _, x, y in zip(*[iter([float(word) for word in lines[start + 2][1:]])] * 4, strict=True):
            view = registered.index(int(camera))
            image = posed.images[view]
            # Where the pinhole camera of the scene has it, distorted again as the manual says.
            pinhole, _ = project(place, scene.camera(view))
            k, lens = scene.intrinsics[view], image.intrinsics((640, 480))
            at = ((pinhole[0] - k[:2, 2]) / k.diagonal()[:2]).numpy()
            r2 = float(at @ at)
            at = at * (1 + image.coefficients[0] * r2 + image.coefficients[1] * r2**2) * float(lens[0, 0])
            offsets.append(np.hypot(at[0] - x, at[1] + y))
    assert len(offsets) > 1000 and np.median(offsets) < 0.5
