import numpy as np
import pytest

from neus.errors import InputError
from neus.scenes import memory
from neus.scenes.memory import available_memory, check_memory, needed_memory
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.writers import write_idr
from tests.scenes.layouts import ring_scene, write_blender

PHONE = [(4000, 3000)] * 60


def test_the_memory_of_pixels_is_that_of_the_arrays_that_hold_them(tmp_path):
    for write, per_pixel in ((write_idr, 4), (write_blender, 5)):
        scene = read_scene(write(ring_scene([(40, 30), (32, 24)]), tmp_path / write.__name__))
        held = scene.images.store.packed.nbytes + (0 if scene.alphas is None else sum(m.nbytes for m in scene.masks))
        assert held == per_pixel * (40 * 30 + 32 * 24)
        has_alphas = scene.alphas is not None
        assert held < needed_memory(scene.sizes, 1, 1, has_alphas) < needed_memory(scene.sizes, 1, 2, has_alphas)


def test_smaller_images_need_less_by_the_square_of_their_factor():
    full, half, quarter = (needed_memory(PHONE, factor, 4) for factor in (1, 2, 4))
    assert full > 60 * 12e6 * 4 and full / half == pytest.approx(4, rel=1e-3) == half / quarter


def test_what_does_not_fit_is_refused_with_the_factor_that_fits(monkeypatch):
    available = needed_memory(PHONE, 4, 1)
    monkeypatch.setattr(memory, "available_memory", lambda: available)
    with pytest.raises(
        InputError, match=r"scene: images: 60 of 4000x3000 pixels take 3\.0 GB .* dataset\.downscale=4\)"
    ):
        check_memory("scene", PHONE, 1)
    assert check_memory("scene", PHONE, 4) == (
        "images: 60 of 4000x3000 pixels, read at 1000x750 (dataset.downscale=4); 189 MB of memory"
    )
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert "3.0 GB of memory" in check_memory("scene", PHONE, 1)


def test_nothing_is_decoded_of_a_scene_that_does_not_fit(tmp_path, monkeypatch):
    folder = write_idr(ring_scene([(40, 30), (32, 24)]), tmp_path / "scene")
    monkeypatch.setattr(memory, "available_memory", lambda: 4000)
    monkeypatch.setattr("neus.scenes.view_files.read_rgb", lambda *a: pytest.fail("decoded"))
    with pytest.raises(InputError, match="2 of 32x24 to 40x30 pixels take .* but 0 MB are available"):
        read_scene(folder, DatasetConfig())
    assert read_scene(folder, lazy=True).sizes == [(40, 30), (32, 24)]


def test_a_line_announces_what_takes_a_while_before_it_is_read(tmp_path, monkeypatch):
    assert check_memory("scene", [(400, 300)], 1) is None
    monkeypatch.setattr(memory, "WORTH_A_LINE", 0)
    events = []
    read_scene(
        write_idr(ring_scene([(40, 30), (32, 24)]), tmp_path / "scene"),
        on_progress=lambda done, total: events.append(done),
        on_start=events.append,
    )
    assert events[1:] == [1, 2] and events[0].startswith("images: 2 of 32x24 to 40x30 pixels; 0 MB")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": "MemTotal: 900 kB\nMemAvailable:  500 kB\n"}, 512_000),
        (
            {
                "proc/meminfo": "MemAvailable: 500 kB\n",
                "sys/fs/cgroup/memory.max": "300000\n",
                "sys/fs/cgroup/memory.current": "250000\n",
                "sys/fs/cgroup/memory.stat": "anon 100000\ninactive_file 40000\n",
            },
            90_000,
        ),
        (
            {
                "proc/meminfo": "MemAvailable: 500 kB\n",
                "sys/fs/cgroup/memory.max": "max\n",
                "sys/fs/cgroup/memory.current": "250000\n",
            },
            512_000,
        ),
        (
            {
                "proc/meminfo": "MemAvailable: 500 kB\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "300000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "250000\n",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 1000\n",
            },
            51_000,
        ),
    ],
)
def test_the_container_may_leave_less_than_the_system_has(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_memory(tmp_path) == expected


def test_this_system_has_memory():
    assert (available_memory() or 1) > np.zeros(1).nbytes
