import tracemalloc

import numpy as np
import pytest
import trimesh

from neus.errors import InputError
from neus.evaluation.files import read_mesh, read_points, read_surface


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl"])
def test_a_mesh_written_and_read_back_has_the_same_surface(tmp_path, suffix):
    mesh = trimesh.creation.box((1.0, 2.0, 3.0))
    mesh.export(tmp_path / f"box{suffix}")
    read = read_mesh(tmp_path / f"box{suffix}")
    assert read.area == pytest.approx(mesh.area) and len(read.faces) == 12
    np.testing.assert_allclose(read.bounds, mesh.bounds, atol=1e-6)


def test_points_come_from_clouds_meshes_and_arrays_alike(tmp_path):
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    trimesh.PointCloud(points).export(tmp_path / "cloud.ply")
    np.savez(tmp_path / "cloud.npz", points=points, other=np.zeros(3))
    for name in ("cloud.ply", "cloud.npz"):
        found = read_surface(tmp_path / name)
        assert isinstance(found, np.ndarray) and found.dtype == np.float64
        np.testing.assert_allclose(read_points(tmp_path / name), points, atol=1e-6)
    trimesh.creation.box().export(tmp_path / "box.ply")
    assert read_points(tmp_path / "box.ply").shape == (8, 3)


def test_what_is_no_surface_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.ply: no such file"):
        read_surface(tmp_path / "none.ply")
    (tmp_path / "bad.ply").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"bad\.ply: cannot be read as mesh or points"):
        read_surface(tmp_path / "bad.ply")
    np.savez(tmp_path / "a.npz", vertices=np.eye(3))
    with pytest.raises(InputError, match="its arrays are vertices, expected one named points"):
        read_surface(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", points=np.full((4, 3), np.nan))
    with pytest.raises(InputError, match="NaN or infinite"):
        read_surface(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", points=np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"shape \(4, 2\) of float64, expected \(n, 3\)"):
        read_surface(tmp_path / "c.npz")
    # 200 MB of zeros in a small file, refused before they are unpacked.
    np.savez_compressed(tmp_path / "d.npz", points=np.zeros((1000, 50_000), np.float32))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"shape \(1000, 50000\) of float32"):
        read_surface(tmp_path / "d.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "cloud.ply")
    with pytest.raises(InputError, match="3 points but no faces"):
        read_mesh(tmp_path / "cloud.ply")
