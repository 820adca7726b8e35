import shutil

import cv2
import numpy as np
import pytest

import neus
from neus.geometry.similarity import scale_of
from neus.rendering.views import render_view, rgb_image
from neus.runs.run import Run
from tests.cli.test_train import assert_one_line


@pytest.fixture
def render(neus_command, trained_run):
    def command(*options, source=trained_run):
        return neus_command("render", source, "--device", "cpu", *options)

    return command


def frames_of(path):
    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = video.read()
        if not there:
            return frames
        frames.append(frame[..., ::-1])


def test_views_are_written_one_image_each_and_the_folder_is_the_last_line(render, trained_run, tmp_path):
    status, out, err = render("--views", "0,3", "--what", "rgb,normal,depth,opacity", "--out", tmp_path / "views")
    assert status == 0 and out[-1] == str(tmp_path / "views") and not err
    names = {f"{view:03d}_{what}.png" for view in (0, 3) for what in ("rgb", "normal", "depth", "opacity")}
    assert {p.name for p in (tmp_path / "views").glob("[!.]*")} == names | {"000_depth.npy", "003_depth.npy"}
    model = neus.load_model(trained_run)
    scene = Run(trained_run).scene()
    seen = render_view(model, scene.camera(3))
    assert np.array_equal(cv2.imread(str(tmp_path / "views" / "003_rgb.png"))[..., ::-1], rgb_image(seen))
    depth = np.load(tmp_path / "views" / "003_depth.npy")
    assert np.allclose(depth, seen.depth.numpy() * scale_of(scene.scene_to_world), rtol=1e-4), "in world units"


def test_views_replace_those_of_the_same_run_and_nobody_elses_files(render, trained_run, tmp_path):
    out, small = tmp_path / "views", ("--scale", 0.25)
    out.mkdir()
    for name, what in (("001_rgb.png", "rgb"), ("001_depth.npy", "depth"), ("001_rgb_opacity.png", "rgb,opacity")):
        (out / name).write_bytes(b"mine")
        more = ("--side-by-side",) if "," in what else ()
        found = render("--views", "0,1", "--what", what, *more, *small, "--out", out)
        assert_one_line(found, f"views: holds {name}, which no earlier call")
        assert [p.name for p in out.iterdir()] == [name] and (out / name).read_bytes() == b"mine"
        (out / name).unlink()
    for _ in range(2):
        assert render("--views", "0,1", *small, "--out", out)[0] == 0
    other = shutil.copytree(trained_run, tmp_path / "other")
    assert_one_line(render("--views", "1", *small, "--out", out, source=other), "holds 001_rgb.png, which no earlier call for this run")
    assert render("--views", "2", *small, "--out", out, source=other)[0] == 0
    assert render("--views", "1", *small, "--out", out)[0] == 0
    # RUN/render is the run's own, also with what earlier versions wrote there.
    (other / "render").mkdir()
    (other / "render" / "001_rgb.png").write_bytes(b"old")
    assert render("--views", "1", *small, source=other)[0] == 0 and (other / "render" / "001_rgb.png").stat().st_size > 3


@pytest.mark.parametrize(("size", "shape"), [(("--scale", 0.5), (12, 16)), (("--width", 16), (12, 16)), ((), (24, 32))])
def test_size(render, tmp_path, size, shape):
    assert render("--views", "1", *size, "--out", tmp_path)[0] == 0
    assert cv2.imread(str(tmp_path / "001_rgb.png")).shape[:2] == shape


def test_the_way_between_two_views_has_as_many_frames_as_asked_for(render, tmp_path):
    status, out, _ = render("--between", 0, 1, "--frames", 3, "--scale", 0.5, "--out", tmp_path / "frames")
    assert status == 0
    paths = sorted((tmp_path / "frames").glob("[!.]*"))
    assert [p.name for p in paths] == [f"{i:04d}.png" for i in range(3)]
    first, last = (cv2.imread(str(p)) for p in (paths[0], paths[-1]))
    assert not np.array_equal(first, last)


def test_a_video_of_an_orbit_plays_and_shows_images_side_by_side(render, tmp_path):
    status, out, err = render("--orbit", 4, "--what", "rgb,normal", "--out", tmp_path / "a.mp4")
    assert status == 0 and out[-1] == str(tmp_path / "a.mp4") and not err
    frames = frames_of(tmp_path / "a.mp4")
    assert len(frames) == 4 and frames[0].shape == (24, 64, 3)


def test_odd_sizes_lose_a_column(render, tmp_path):
    assert render("--orbit", 2, "--width", 17, "--out", tmp_path / "a.mp4")[0] == 0
    assert frames_of(tmp_path / "a.mp4")[0].shape == (12, 16, 3)


def test_wrong_input_is_explained(render, tmp_path, trained_run):
    assert_one_line(render("--views", "0,4"), "view 4: the scene has views 0 to 3")
    assert_one_line(render("--between", 0, 9), "view 9: the scene has views 0 to 3")
    assert_one_line(
        render("--views", "0", "--out", tmp_path / "a.mp4"), "give one, or use --between, --orbit, --spiral or --path"
    )
    assert_one_line(
        render("--orbit", 4, "--out", tmp_path / "a.avi"), "a.avi: expected a folder or a file ending in .mp4"
    )
    assert_one_line(render("--views", "0", source=tmp_path / "none"), "none: no such run folder or checkpoint")
    assert_one_line(render("--views", "0", "--data", tmp_path / "none"), "none: no such folder")


def test_a_checkpoint_knows_its_scene_and_another_place_can_be_given(render, trained_run, scene_folder, tmp_path):
    checkpoint = trained_run / "checkpoints" / "ckpt_000003.pth"
    assert render("--views", "2", "--out", tmp_path / "known", source=checkpoint)[0] == 0
    assert render("--views", "2", "--data", scene_folder, "--out", tmp_path, source=checkpoint)[0] == 0


@pytest.mark.parametrize("options", [("--views", "0"), ("--between", 0, 1, "--frames", 2), ("--orbit", 2)], ids=str)
def test_a_place_that_cannot_be_written_is_named(render, tmp_path, options):
    (tmp_path / "file").touch()
    places = ["file/frames"] if options[0] == "--views" else ["file/frames", "file/a.mp4"]
    for place in places:
        status, out, err = render(*options, "--scale", 0.25, "--out", tmp_path / place)
        assert status == 2 and len(err) == 1 and "cannot be written" in err[0] and str(tmp_path / place) in err[0]


def test_a_full_disk_leaves_no_half_image(render, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imwrite", lambda path, image: open(path, "wb").close())
    status, _, err = render("--views", "0", "--out", tmp_path / "views")
    assert status == 2 and len(err) == 1 and "000_rgb.png: cannot be written" in err[0]
    assert not list((tmp_path / "views").glob("[!.]*"))


def test_a_video_starts_with_its_table_of_contents_and_is_h264_in_yuv420(render, tmp_path):
    assert render("--spiral", 3, "--fps", 12, "--out", tmp_path / "a.mp4")[0] == 0
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat") and b"avc1" in content
    # The third byte of the decoder's record is the profile: 100 is High, whose images are 4:2:0; 244 would be 4:4:4.
    assert content[content.find(b"avcC") + 5] == 100
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == 12.0
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_saved_path_renders_to_the_same_frames(render, tmp_path):
    assert render("--orbit", 2, "--save-path", tmp_path / "path.json", "--out", tmp_path / "a")[0] == 0
    assert render("--path", tmp_path / "path.json", "--out", tmp_path / "b")[0] == 0
    for name in ("0000.png", "0001.png"):
        a, b = (cv2.imread(str(tmp_path / folder / name)).astype(int) for folder in "ab")
        assert abs(a - b).max() <= 2


def test_images_stand_beside_the_renders(render, trained_run, tmp_path):
    options = ("--what", "photo,rgb", "--side-by-side", "--out", tmp_path)
    assert render("--views", "2", *options)[0] == 0
    image = cv2.imread(str(tmp_path / "002_photo_rgb.png"))[..., ::-1]
    scene = Run(trained_run).scene()
    assert image.shape == (24, 64, 3) and np.array_equal(image[:, :32], scene.images[2])
    assert render("--between", 1, 3, 1, "--frames", 3, "--what", "photo,depth", "--out", tmp_path / "f")[0] == 0
    first = cv2.imread(str(tmp_path / "f" / "0000.png"))[..., ::-1]
    assert np.array_equal(first[:, :32], scene.images[1])


def test_an_orbit_decodes_no_image(render, tmp_path, monkeypatch):
    def refused(path, *rest):
        raise AssertionError(f"{path} was decoded")

    for name in ("read_rgb", "read_rgba", "read_mask"):
        monkeypatch.setattr(f"neus.scenes.view_files.{name}", refused)
    assert render("--orbit", 2, "--scale", 0.5, "--out", tmp_path)[0] == 0
    with pytest.raises(AssertionError, match="was decoded"):
        render("--views", "2", "--what", "photo", "--out", tmp_path / "views")


def test_one_view_is_no_way(render):
    assert_one_line(render("--between", 1), "--between: found one view, expected two or more")


@pytest.mark.parametrize("mode", ["volume", "shell", "surface"])
def test_modes(render, tmp_path, mode):
    status, out, err = render("--views", "0", "--mode", mode, "--what", "rgb,depth", "--out", tmp_path)
    assert status == 0 and not err and (tmp_path / "000_rgb.png").is_file()
    said = {"volume": "", "shell": "rendered by volume: its sharpness is low", "surface": "surface: "}[mode]
    assert any(line.startswith(said) for line in out)


def test_the_object_alone_has_alpha(render, tmp_path):
    assert render("--views", "0", "--alpha", "--what", "rgb,normal", "--out", tmp_path)[0] == 0
    rendered_images = [cv2.imread(str(tmp_path / f"000_{what}.png"), cv2.IMREAD_UNCHANGED) for what in ("rgb", "normal")]
    assert all(p.shape == (24, 32, 4) for p in rendered_images) and np.array_equal(rendered_images[0][..., 3], rendered_images[1][..., 3])
    assert render("--orbit", 2, "--alpha", "--out", tmp_path / "orbit")[0] == 0
    assert cv2.imread(str(tmp_path / "orbit" / "0000.png"), cv2.IMREAD_UNCHANGED).shape == (24, 32, 4)
    assert_one_line(render("--orbit", 2, "--alpha", "--out", tmp_path / "a.mp4"), "an .mp4 has no alpha")
