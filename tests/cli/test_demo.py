"""`neus demo --write` writes a synthetic scene as a plain folder, and nothing else."""

from neus.scenes.readers import read_scene
from neus.scenes.synthetic import written_kind
from neus.scenes.synthetic_kinds import kind_of
from tests.cli.test_train import assert_one_line


def test_a_synthetic_scene_is_written_as_any_other(neus_command, tmp_path):
    folder = tmp_path / "tins"
    status, out, err = neus_command("demo", "--write", "tins+gain@1", "--views", 3, "--size", 32, 24, "--out", folder)
    assert status == 0 and not err and out == [str(folder)]
    scene = read_scene(folder)
    assert scene.sizes == [(32, 24)] * 3 and scene.masks is not None and written_kind(folder) == kind_of("tins+gain@1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tins"]


def test_an_unknown_kind_or_a_folder_in_use_is_one_line(neus_command, tmp_path):
    assert_one_line(neus_command("demo", "--write", "castle", "--out", tmp_path / "a"), "SHAPE one of cup, house")
    assert not (tmp_path / "a").exists()
    (tmp_path / "precious").touch()
    assert_one_line(
        neus_command("demo", "--write", "cup", "--views", 1, "--size", 32, 24, "--out", tmp_path), "already exists"
    )
