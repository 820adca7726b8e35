"""Camera files of every format, cut off or with changed bytes: read, or refused in one line; never anything else."""

import random
import shutil
import warnings
from pathlib import Path

import pytest

from neus.errors import InputError
from neus.scenes.foreign.formats import FOREIGN
from neus.scenes.readers import DatasetConfig, read_scene
from tests.scenes.foreign import (
    test_alicevision,
    test_bundler,
    test_llff,
    test_matrices,
    test_metashape,
    test_nsvf,
    test_nvm,
    test_openmvg,
    test_opensfm,
    test_polycam,
    test_realitycapture,
    test_record3d,
    test_xmp,
)

WRITERS = {
    "polycam": test_polycam.write,
    "record3d": lambda folder: test_record3d.write(folder, is_zip=False),
    "metashape": test_metashape.write,
    "realitycapture": test_realitycapture.write,
    "xmp": lambda folder: test_xmp.write(folder, "."),
    "alicevision": test_alicevision.write,
    "openmvg": test_openmvg.write,
    "opensfm": test_opensfm.write,
    "bundler": test_bundler.write,
    "nvm": test_nvm.write,
    "llff": test_llff.write,
    "nsvf": lambda folder: test_nsvf.write(folder, "120 48 36 0\n"),
    "middlebury": test_matrices.write_middlebury,
    "strecha": test_matrices.write_strecha,
    "projections": test_matrices.write_projections,
}
TRIALS = 25


def test_every_format_is_here():
    assert set(WRITERS) == set(FOREIGN)


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Cut off, a byte changed, a piece left out or doubled, or a number replaced."""
    place, length = generator.randrange(len(data)), generator.randrange(1, 40)
    kind = generator.randrange(5)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + bytes([generator.randrange(256)]) + data[place + 1 :]
    if kind == 2:
        return data[:place] + data[place + length :]
    if kind == 3:
        return data[:place] + data[place : place + length] * 2 + data[place + length :]
    return data[:place] + generator.choice([b"nan", b"-1", b"1e999", b"[]", b"null", b'"', b"\0"]) + data[place + 1 :]


@pytest.mark.parametrize("name", FOREIGN)
def test_damage_of_any_kind_is_one_line(tmp_path, name):
    folder = WRITERS[name](tmp_path)
    generator = random.Random(name)
    found = FOREIGN[name].find(folder)
    files = [found] if found.is_file() else sorted(file for file in found.iterdir() if file.suffix != ".png")[:2]
    whole = {file: file.read_bytes() for file in files}
    refused = 0
    for _ in range(TRIALS):
        file = generator.choice(files)
        file.write_bytes(damaged(whole[file], generator))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_scene(folder, DatasetConfig(format=name, camera_outside_sphere=False), lazy=True)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 700 and str(tmp_path)[:8] in str(error)
        file.write_bytes(whole[file])
    assert refused > 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOREIGN)
def test_a_scene_is_read_again_from_its_source(tmp_path, name):
    folder = WRITERS[name](tmp_path)
    scene = read_scene(folder, lazy=True)
    assert scene.format == name and scene.source == folder
    again = read_scene(scene.source, DatasetConfig(views=tuple(scene.names[1:])), lazy=True)
    assert again.names == scene.names[1:]


@pytest.mark.parametrize("name", FOREIGN)
def test_an_empty_file_is_refused(tmp_path, name):
    folder = WRITERS[name](tmp_path)
    found = FOREIGN[name].find(folder)
    for file in [found] if found.is_file() else sorted(file for file in found.iterdir() if file.is_file()):
        file.write_bytes(b"")
    with pytest.raises(InputError):
        read_scene(folder, DatasetConfig(format=name), lazy=True)


@pytest.mark.filterwarnings("ignore:.*not registered")
def test_a_folder_without_images_is_refused_with_the_first_name(tmp_path):
    folder = test_bundler.write(tmp_path / "scene")
    shutil.rmtree(folder / "images")
    with pytest.raises(
        InputError, match=r"4 of 4 images are not in .*scene, for instance no such image images/IMG_0000.png"
    ):
        read_scene(Path(folder))
