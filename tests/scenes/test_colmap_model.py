import struct

import numpy as np
import pytest

from neus.errors import InputError
from neus.scenes.colmap_model import read_points_binary


def points_file(path, tracks, seed=0):
    """A points3D.bin with tracks of these lengths; its points."""
    places = np.random.default_rng(seed).normal(size=(len(tracks), 3))
    data = struct.pack("<Q", len(tracks))
    for number, (place, length) in enumerate(zip(places, tracks, strict=True)):
        data += struct.pack("<Q3d3BdQ", number, *place, 1, 2, 3, 0.5, length) + bytes(8 * length)
    path.write_bytes(data)
    return places


@pytest.mark.parametrize("tracks", [[], [0], [2, 3, 17, 0, 5], [1] * 400])
def test_binary_points_are_read_whatever_the_lengths_of_their_tracks(tmp_path, tracks):
    places = points_file(tmp_path / "points3D.bin", tracks)
    points, lengths = read_points_binary(tmp_path / "points3D.bin")
    assert np.array_equal(points, places) and lengths.tolist() == tracks


def test_pycolmap_reads_the_same_points(tmp_path):
    import pycolmap

    places = points_file(tmp_path / "points3D.bin", [0, 0, 0])
    (tmp_path / "cameras.bin").write_bytes(bytes(8))
    (tmp_path / "images.bin").write_bytes(bytes(8))
    model = pycolmap.Reconstruction(str(tmp_path))
    assert np.array_equal(np.array([model.points3D[i].xyz for i in range(3)]), places)


@pytest.mark.parametrize("n_bytes", [0, 7, 8, 60, -1])
def test_truncated_points_are_refused(tmp_path, n_bytes):
    points_file(tmp_path / "points3D.bin", [2, 3, 4])
    data = (tmp_path / "points3D.bin").read_bytes()
    (tmp_path / "points3D.bin").write_bytes(data[:n_bytes])
    with pytest.raises(InputError, match="bytes are too few for [03] points"):
        read_points_binary(tmp_path / "points3D.bin")


def test_an_absurd_count_of_points_is_refused_at_once(tmp_path):
    (tmp_path / "points3D.bin").write_bytes(struct.pack("<Q", 2**62) + bytes(500))
    with pytest.raises(InputError, match="508 bytes are too few"):
        read_points_binary(tmp_path / "points3D.bin")
