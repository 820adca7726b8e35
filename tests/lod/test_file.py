"""Files give back the field to the bit, and other files one line."""

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry import shapes
from neus.lod.distill import DistillConfig, distilled
from neus.lod.file import read_lod, write_lod
from neus.lod.published import read_published
from neus.lod.teacher import Teacher


@pytest.fixture
def file(torus_levels, tmp_path):
    write_lod(torus_levels, tmp_path / "torus.lod")
    return tmp_path / "torus.lod"


def changed(file, name, value):
    """The path of a copy with another array."""
    with np.load(file) as archive:
        arrays = {key: archive[key] for key in archive.files}
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value(arrays[name])
    with open(file.with_name("changed.lod"), "wb") as out:
        np.savez_compressed(out, **arrays)
    return file.with_name("changed.lod")


def test_a_field_comes_back_to_the_bit(torus_levels, file):
    again, points = read_lod(file), 2.4 * torch.rand(1000, 3) - 1.2
    for level in (0, 1.5, 3):
        assert torch.equal(again.at(level).sdf(points), torus_levels.at(level).sdf(points))
    for name in ("errors", "slopes", "scene_to_world"):
        assert torch.equal(getattr(again, name), getattr(torus_levels, name))
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_colors_come_back(tmp_path):
    teacher = Teacher(lambda p: shapes.sphere(p, 0.6), color=lambda points: points * 0.5 + 0.5)
    field = distilled(teacher, DistillConfig(n_levels=4, n_channels=2, steps=0), with_color=True)
    write_lod(field, tmp_path / "ball.lod")
    points = 2.0 * torch.rand(100, 3) - 1.0
    assert torch.equal(read_lod(tmp_path / "ball.lod").rgb(points, 2.5), field.rgb(points, 2.5))


def test_published_models_are_kept_whole(shared, tmp_path):
    model = read_published(shared / "oracle" / "nglod" / "model.pth").requires_grad_(False)
    write_lod(model, tmp_path / "model.lod")
    again = read_lod(tmp_path / "model.lod")
    assert all(map(torch.equal, model.parameters(), again.parameters())) and again.errors.isnan().all()


def test_five_levels_of_sixteen_channels_take_less_than_three_megabytes(tmp_path):
    field = distilled(Teacher(lambda p: shapes.torus(p, 0.55, 0.22)), DistillConfig(steps=0))
    write_lod(field, tmp_path / "torus.lod")
    assert (tmp_path / "torus.lod").stat().st_size < 3e6


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layout", lambda a: np.concatenate([[2], a[1:]]), "version 2 of the format, expected 1; update this program"),
        ("layout", lambda a: np.concatenate([a[:1], [90], a[2:]]), "which is out of range"),
        ("features/1", lambda a: a[:, :3], r"features/1 has shape \(729, 3\) of float.*, expected \(729, 8\)"),
        ("codes/3", lambda a: a[::-1], "codes/3 are no ascending numbers below 35937"),
        ("slopes", lambda a: a * np.nan, "some numbers are NaN"),
        ("decoders/0/0.bias", None, "not levels of detail"),
        ("scene_to_world", lambda a: a.astype(object), "not levels of detail|of object"),
    ],
)
def test_damaged_files_are_refused(file, name, value, message):
    with pytest.raises(InputError, match=message) as error:
        read_lod(changed(file, name, value))
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.lod").write_text("hello")
    with pytest.raises(InputError, match=r"text.lod: not levels of detail \(.*\); expected a file that `neus lod bake` wrote"):
        read_lod(tmp_path / "text.lod")
    with pytest.raises(InputError, match="gone.lod: no such file; make it with"):
        read_lod(tmp_path / "gone.lod")
