"""What users of NeuS type, in a folder laid out as theirs."""

import shutil

import cv2
import pytest
import trimesh

from neus.cli import classic
from neus.training.checkpoint import checkpoints_in
from tests.cli.test_train import assert_one_line


@pytest.fixture
def neus_folder(tmp_path, tiny_conf, scene_folder, monkeypatch):
    """The working directory: confs/tiny.conf, public_data/cup/; runs go to exp/cup/tiny/."""
    shutil.copytree(scene_folder, tmp_path / "public_data" / "cup")
    text = tiny_conf.read_text().splitlines()
    text = [line for line in text if not line.startswith(("general.", "dataset."))]
    text += ['general.base_exp_dir = "./exp/CASE_NAME/tiny"', 'dataset.data_dir = "./public_data/CASE_NAME/"']
    (tmp_path / "confs").mkdir()
    (tmp_path / "confs" / "tiny.conf").write_text("\n".join(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classic, "MESH_RESOLUTION", 16)
    monkeypatch.setattr(classic, "FRAMES", 2)
    return tmp_path


@pytest.fixture
def exp_runner(neus_command, neus_folder):
    def command(*options, case="cup"):
        return neus_command("--conf", "./confs/tiny.conf", *options, *(("--case", case) if case else ()))

    return command


def test_train_continue_mesh_and_video_as_neus_users_know_them(exp_runner, neus_folder):
    run = neus_folder / "exp" / "cup" / "tiny"
    status, out, err = exp_runner("--mode", "train")
    assert (status, out[-1], err) == (0, "exp/cup/tiny", [])
    assert [p.name for p in checkpoints_in(run / "checkpoints")] == ["ckpt_000003.pth", "ckpt_000006.pth"]
    assert (run / "recording" / "config.conf").is_file()

    conf = neus_folder / "confs" / "tiny.conf"
    conf.write_text(conf.read_text() + "\ntrain.end_iter = 8\n")
    assert exp_runner("--mode", "train", "--is_continue")[0] == 0
    assert checkpoints_in(run / "checkpoints")[-1].name == "ckpt_000008.pth"

    status, out, _ = exp_runner("--mode", "validate_mesh", "--mcube_threshold", "0.0", "--is_continue", "--gpu", "0")
    assert (status, out[-1]) == (0, "exp/cup/tiny/meshes/00000008.ply")
    mesh = trimesh.load(run / "meshes" / "00000008.ply")
    assert abs(mesh.centroid[2] - 610.0) < 60.0, "in the millimetres of the scene's world"

    status, out, _ = exp_runner("--mode", "interpolate_0_1", "--is_continue")
    assert (status, out[-1]) == (0, "exp/cup/tiny/render/00000008_0_1.mp4")
    video = cv2.VideoCapture(str(run / "render" / "00000008_0_1.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 4
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (8, 6)


def test_train_is_the_mode_if_none_is_given(exp_runner):
    assert exp_runner()[1][-1] == "exp/cup/tiny"


def test_an_old_run_is_not_written_over(exp_runner):
    exp_runner()
    assert_one_line(exp_runner(), "already holds a run; continue it with")


def test_wrong_commands_are_explained(exp_runner, neus_command, neus_folder):
    assert_one_line(exp_runner("--mode", "fly"), "--mode fly: expected train, validate_mesh or interpolate_I_J")
    for mode in ("interpolate", "interpolate_0", "interpolate_a_b", "interpolate_0_1_2"):
        assert_one_line(exp_runner("--mode", mode), f"--mode {mode}: expected")
    assert_one_line(exp_runner(case=None), "names its folders by CASE_NAME; give --case")
    assert_one_line(exp_runner(case="pot"), "public_data/pot: no such folder")
    assert_one_line(exp_runner("--mode", "validate_mesh"), "exp/cup/tiny: no such run folder")
    assert_one_line(exp_runner("--is_continue"), "exp/cup/tiny: no such run folder")
    assert_one_line(neus_command("--mode", "train"), "required: --conf")
    assert_one_line(
        neus_command("--conf", "confs/tny.conf"), "tny.conf: no such config file. Did you mean confs/tiny.conf?"
    )
    assert not (neus_folder / "exp").exists()


def test_a_view_that_is_not_there_is_explained(exp_runner):
    exp_runner()
    assert_one_line(exp_runner("--mode", "interpolate_0_9"), "view 9: the scene has views 0 to 3")


def test_every_checkpoint_is_kept_as_neus_keeps_them(exp_runner, neus_folder):
    conf = neus_folder / "confs" / "tiny.conf"
    conf.write_text(conf.read_text() + "\ntrain { end_iter = 8, save_freq = 1, keep_checkpoints = 2 }\n")
    exp_runner()
    assert len(checkpoints_in(neus_folder / "exp/cup/tiny/checkpoints")) == 8
