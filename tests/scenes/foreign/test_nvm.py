"""VisualSFM's model.nvm, written from its documented lines."""

import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    CENTERS,
    FOCAL,
    MIDDLE,
    NAMES,
    POINTS,
    ROTATIONS,
    TRANSLATIONS,
    assert_scene_shows,
    assert_shows,
    brown,
    on_plane,
    posed_of,
    quaternion,
    write_images,
)

RADIAL = 0.15


def measured(view):
    """(P, 2) where m is, with (x, y) / z = (1 + r |m|^2) m: by bisection, along each ray."""
    plane = np.stack(on_plane(view), axis=1)
    wanted, low = np.linalg.norm(plane, axis=1), np.zeros(len(plane))
    high = wanted.copy()
    for _ in range(60):
        middle = (low + high) / 2
        is_short = middle * (1 + RADIAL * middle**2) < wanted
        low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
    return plane * (low / wanted)[:, None] * FOCAL + MIDDLE


def write(folder, head="NVM_V3", radial=RADIAL):
    cameras = []
    for view, name in enumerate(NAMES):
        if head.startswith("NVM_V3_R9"):
            pose = [*ROTATIONS[view].ravel(), *TRANSLATIONS[view]]
        else:
            pose = [*quaternion(ROTATIONS[view]), *CENTERS[view]]
        cameras.append(f'my"photos/{name} {FOCAL} {" ".join(repr(float(v)) for v in pose)} {radial} 0\n')
    points = [f"{x!r} {y!r} {z!r} 10 20 30 2 3 5 1.0 2.0 0 6 3.0 4.0\n" for x, y, z in POINTS.tolist()]
    write_images(folder / "my photos")
    text = f"{head}\n\n{len(cameras)}\n{''.join(cameras)}\n{len(points)}\n{''.join(points)}\n\n0\n"
    (folder / "model.nvm").write_text(text)
    return folder


@pytest.mark.parametrize("head", ["NVM_V3", "NVM_V3_R9"])
def test_the_coefficient_is_of_the_measured_point(tmp_path, head):
    folder = write(tmp_path, head)
    expected = [measured(view) for view in range(4)]
    posed = posed_of(folder, "nvm")
    assert_shows(posed, expected)
    assert np.allclose(posed.points.positions, POINTS) and set(posed.points.track_views.tolist()) == {0, 3}
    assert_scene_shows(folder, expected)


def test_a_fixed_calibration_holds_for_all(tmp_path):
    folder = write(tmp_path, f"NVM_V3 FixedK {FOCAL + 3} {CENTER[0]} {FOCAL + 5} {CENTER[1]} 0", radial=0)
    expected = [brown(view, focal=FOCAL + 3, focal_y=FOCAL + 5) for view in range(4)]
    assert_shows(posed_of(folder, "nvm"), expected)
    assert read_scene(folder).names == [f"my photos/{name}" for name in NAMES]


def test_further_models_are_named_and_damage_is_with_its_line(tmp_path):
    folder = write(tmp_path)
    text = (folder / "model.nvm").read_text()
    (folder / "model.nvm").write_text(text.rstrip()[:-1] + "12\n")
    with pytest.warns(InputWarning, match="only the first of its models is read .the next has 12 cameras"):
        posed_of(folder, "nvm")
    for old, new, said in [
        ("NVM_V3", "NVM_V2", "begins with 'NVM_V2', expected NVM_V3"),
        (f" {RADIAL} 0\n", " 0\n", "line 4: .* expected a name and 10 numbers|line 4: .*is no number"),
        (" 2 3 5 1.0", " 2 9 5 1.0", "line 10: camera 9, expected 0 to 3"),
    ]:
        (folder / "model.nvm").write_text(text.replace(old, new, 1))
        with pytest.raises(InputError, match=said):
            read_scene(folder)
