import struct

import numpy as np
import pycolmap
import pytest

from neus.errors import InputError
from neus.scenes.colmap_model import read_model, read_points_binary


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
    points, lengths, *_ = read_points_binary(tmp_path / "points3D.bin")
    assert np.array_equal(points, places) and lengths.tolist() == tracks


def test_pycolmap_reads_the_same_points(tmp_path):
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


@pytest.mark.parametrize("length", [100, 2**40, 2**63])
def test_a_track_that_leads_beyond_the_file_is_refused(tmp_path, length):
    points_file(tmp_path / "points3D.bin", [2, 3])
    data = bytearray((tmp_path / "points3D.bin").read_bytes())
    data[8 + 43 : 8 + 51] = struct.pack("<Q", length)
    (tmp_path / "points3D.bin").write_bytes(data)
    with pytest.raises(InputError, match="bytes are too few for 2 points"):
        read_points_binary(tmp_path / "points3D.bin")


def test_images_of_a_rig_have_their_own_poses(tmp_path):
    model, rig = pycolmap.Reconstruction(), pycolmap.Rig(rig_id=1)
    for number in (1, 2):
        model.add_camera(pycolmap.Camera(model="PINHOLE", width=40, height=30, params=[30, 30, 20, 15], camera_id=number))
    rig.add_ref_sensor(model.cameras[1].sensor_id)
    turned = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0.0, 0.6, 0.0, 0.8])), np.array([1.0, 2.0, 3.0]))
    rig.add_sensor(model.cameras[2].sensor_id, turned)
    model.add_rig(rig)
    frame = pycolmap.Frame(frame_id=1, rig_id=1)
    frame.rig_from_world = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0.6, 0.0, 0.0, 0.8])), np.array([4.0, 5.0, 6.0]))
    for number in (1, 2):
        frame.add_data_id(pycolmap.data_t(model.cameras[number].sensor_id, number))
    model.add_frame(frame)
    for number in (1, 2):
        model.add_image(pycolmap.Image(name=f"cam{number}/0.png", camera_id=number, image_id=number, frame_id=1))
    model.register_frame(1)
    model.write_binary(str(tmp_path))
    for image in read_model(tmp_path).images:
        expected = model.find_image_with_name(image.name).cam_from_world().matrix()
        np.testing.assert_allclose(image.world_to_camera.numpy()[:3], expected, atol=1e-12)
