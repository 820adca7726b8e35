from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.rendering.paths import orbit
from neus.rendering.views import depth_image, render_view
from neus.runs import videos as views
from neus.runs.frames import FrameFolder, settings_of
from neus.runs.load import load_model
from neus.runs.run import Run
from neus.runs.videos import fitted, nearest_view, write_frames

PICTURE = np.full((4, 6, 3), 7, np.uint8)


def test_frames_of_the_same_settings_are_kept_and_the_others_missing(tmp_path):
    folder = FrameFolder(tmp_path / "f", {"model": "a"}, 4)
    assert folder.missing() == [0, 1, 2, 3]
    folder.write(1, PICTURE)
    folder.write(3, PICTURE)
    assert FrameFolder(tmp_path / "f", {"model": "a"}, 4).missing() == [0, 2]
    np.testing.assert_array_equal(folder.read(1), PICTURE)


@pytest.mark.parametrize("other", [({"model": "b"}, 4), ({"model": "a"}, 3)])
def test_frames_of_other_settings_go_and_what_else_is_there_stays(tmp_path, other):
    folder = FrameFolder(tmp_path, {"model": "a"}, 4)
    folder.missing()
    folder.write(3, PICTURE)
    (tmp_path / "mine.png").touch()
    assert FrameFolder(tmp_path, *other).missing() == list(range(other[1]))
    assert not folder.frame(3).exists() and (tmp_path / "mine.png").exists()


def test_a_damaged_record_is_none(tmp_path):
    folder = FrameFolder(tmp_path, {}, 1)
    folder.missing()
    folder.write(0, PICTURE)
    (tmp_path / ".frames.json").write_text("{")
    assert folder.missing() == [0]


def test_images_that_no_video_wrote_are_never_overwritten(tmp_path):
    (tmp_path / "0002.png").write_bytes(b"mine")
    FrameFolder(tmp_path, {"model": "a"}, 2).missing()
    for others in (tmp_path, tmp_path / "plain"):
        others.mkdir(exist_ok=True)
        (others / "0002.png").write_bytes(b"mine")
        with pytest.raises(InputError, match="holds 0002.png, which no earlier video of this folder wrote"):
            FrameFolder(others, {"model": "a"}, 4).missing()
        assert (others / "0002.png").read_bytes() == b"mine"


def test_removing_leaves_a_folder_with_other_things_in_it(tmp_path):
    for extra in (True, False):
        folder = FrameFolder(tmp_path / str(extra), {}, 1)
        folder.missing()
        folder.write(0, PICTURE)
        if extra:
            (folder.path / "note.txt").touch()
        folder.remove()
        assert folder.path.exists() == extra and not folder.frame(0).exists()


@pytest.fixture(scope="module")
def video(trained_run):
    """A model, its scene, and a small orbit of five frames."""
    scene = Run(trained_run).scene()
    cameras = orbit([scene.camera(v).scaled(0.5) for v in range(len(scene))], 5)
    return load_model(trained_run), scene, cameras


def test_settings_tell_models_paths_and_images_apart(video):
    model, _, cameras = video
    same = settings_of(model, cameras, ["rgb"])
    assert same == settings_of(model, cameras, ["rgb"])
    moved = [replace(camera, width=camera.width + 1) for camera in cameras]
    assert same != settings_of(model, moved, ["rgb"]) and same != settings_of(model, cameras, ["depth"])
    assert same != settings_of(model, cameras[1:], ["rgb"])
    with torch.no_grad():
        model.sharpness.variance.add_(0.1)
        assert same != settings_of(model, cameras, ["rgb"])
        model.sharpness.variance.sub_(0.1)


@pytest.mark.parametrize("name", ["a.mp4", "a"])
def test_an_interrupted_video_goes_on_with_the_missing_frames(video, tmp_path, monkeypatch, name):
    model, scene, cameras = video
    rendered, out = [], tmp_path / name

    def interrupted(renderer, camera, **options):
        if len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(camera)
        return render_view(renderer, camera, **options)

    monkeypatch.setattr(views, "render_view", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_frames(model, cameras, ["rgb"], out)
    rendered.clear()
    starts, steps = [], []
    write_frames(model, cameras, ["rgb"], out, lambda *n: steps.append(n), on_start=lambda *n: starts.append(n))
    assert len(rendered) == 2 and starts == [(3, 5)] and steps == [(4, 5), (5, 5)]
    if name == "a":
        assert len(list(out.glob("[!.]*.png"))) == 5
    else:
        assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
        assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FRAME_COUNT) == 5


def test_the_renderer_given_is_used_and_frames_of_other_settings_are_made_anew(video, tmp_path, monkeypatch):
    model, _, cameras = video
    used = []
    monkeypatch.setattr(views, "render_view", lambda *a, **k: (used.append(a[0]), render_view(model, a[1]))[1])
    given = object()
    for settings, n_rendered in (({"mode": "a"}, 2), ({"mode": "a"}, 2), ({"mode": "b"}, 4)):
        write_frames(model, cameras[:2], ["rgb"], tmp_path / "f", renderer=given, settings=settings)
        assert len(used) == n_rendered
    assert all(renderer is given for renderer in used)


def test_the_same_depth_has_the_same_shade_in_all_frames_of_a_video(video):
    model, _, cameras = video
    seen = render_view(model, cameras[0])
    whole = depth_image(seen, (1.0, 5.0))
    half = replace(seen, depth=seen.depth[:, :8], foreground=seen.foreground[:, :8])
    np.testing.assert_array_equal(depth_image(half, (1.0, 5.0)), whole[:, :8])


def test_the_nearest_view_of_a_view_is_that_view(video):
    _, scene, _ = video
    assert [nearest_view(scene, scene.camera(v)) for v in range(len(scene))] == list(range(len(scene)))


def test_a_image_of_another_shape_is_fitted_not_stretched():
    image = fitted(np.zeros((10, 40, 3), np.uint8), 20, 20)
    assert image.shape == (20, 20, 3) and (image[8:12] < 255).any() and (image[:7] == 255).all()
    assert (image[8:12] == 0).all()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        FrameFolder(tmp_path / "file" / "f", {}, 1).missing()
