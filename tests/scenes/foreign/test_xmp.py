"""RealityCapture's XMP files, written from its page on camera math."""

import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    CENTERS,
    FOCAL,
    NAMES,
    ROTATIONS,
    SIZE,
    assert_scene_shows,
    assert_shows,
    brown,
    matrix_text,
    posed_of,
    write_images,
)

K, T = (-0.2, 0.05, -0.01), (0.003, -0.002)


def write(folder, place="images", model="brown3t2", as_elements=True, skew="0"):
    write_images(folder / place)
    numbers = " ".join(map(repr, [*K, 0.0, *T]))
    for view, name in enumerate(NAMES):
        rotation, position = matrix_text([ROTATIONS[view].ravel()]), matrix_text([CENTERS[view]])
        settings = f'xcr:DistortionModel="{model}" xcr:FocalLength35mm="{FOCAL * 36 / SIZE[0]}" xcr:Skew="{skew}" xcr:AspectRatio="1"'
        settings += f' xcr:PrincipalPointU="{(CENTER[0] - SIZE[0] / 2) / SIZE[0]}"'
        settings += f' xcr:PrincipalPointV="{(CENTER[1] - SIZE[1] / 2) / SIZE[0]}"'
        inside = f"<xcr:Rotation>{rotation}</xcr:Rotation><xcr:Position>{position}</xcr:Position>"
        inside += f"<xcr:DistortionCoeficients>{numbers}</xcr:DistortionCoeficients>"
        if not as_elements:
            settings += f' xcr:Rotation="{rotation}" xcr:Position="{position}" xcr:DistortionCoeficients="{numbers}"'
            inside = ""
        (folder / place / name.replace(".png", ".xmp")).write_text(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description xcr:Version="3" xcr:PosePrior="initial" {settings} xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#">'
            f"{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
        )
    return folder


@pytest.mark.parametrize("as_elements", [True, False])
@pytest.mark.parametrize("place", ["images", "."])
def test_rotations_are_row_by_row_from_world_to_camera(tmp_path, place, as_elements):
    expected = [brown(view, k=K, p=(T[1], T[0])) for view in range(4)]
    folder = write(tmp_path, place, as_elements=as_elements)
    assert_shows(posed_of(folder, "xmp"), expected)
    assert assert_scene_shows(folder, expected).names == NAMES


def test_a_perspective_camera_has_no_distortion(tmp_path):
    assert_shows(posed_of(write(tmp_path, model="perspective"), "xmp"), [brown(view) for view in range(4)])


def test_files_without_a_pose_and_other_lenses_are_named(tmp_path):
    folder = write(tmp_path)
    file = folder / "images" / "IMG_0002.xmp"
    file.write_text(file.read_text().replace("xcr:Rotation", "xcr:Nothing"))
    with pytest.warns(InputWarning, match=r"1 of 4 XMP files have no pose and are left out \(IMG_0002\)"):
        assert len(read_scene(folder)) == 3
    with pytest.raises(InputError, match="IMG_0000.xmp: its lens is division, expected one of perspective, brown3"):
        read_scene(write(tmp_path, model="division"))
    with pytest.raises(InputError, match="a skew or an aspect ratio is not read"):
        read_scene(write(tmp_path, skew="0.1"))
