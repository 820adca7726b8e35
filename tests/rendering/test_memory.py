import warnings

import pytest
import torch

from neus.errors import InputWarning
from neus.geometry.cameras import Camera
from neus.rendering.memory import in_chunks_that_fit
from neus.rendering.model import Model
from neus.rendering.views import render_view

CPU = torch.device("cpu")


class Device:
    """Memory for so many rows at a time."""

    def __init__(self, room: int) -> None:
        self.room, self.asked = room, []

    def __call__(self, start: int, stop: int) -> list[int]:
        self.asked.append(stop - start)
        if stop - start > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return list(range(start, stop))


def rows(device, n, chunk):
    return [row for _, part in in_chunks_that_fit(device, n, chunk, CPU) for row in part]


def test_chunks_are_halved_until_they_fit_and_nothing_is_lost_or_done_twice():
    device = Device(room=3)
    with pytest.warns(InputWarning) as seen:
        assert rows(device, 21, 16) == list(range(21))
    assert device.asked[:4] == [16, 8, 4, 2] and set(device.asked[3:]) <= {1, 2}
    assert [str(w.message) for w in seen][0] == "out of memory on cpu with 16 rays at a time; continuing with 8."
    assert len(seen) == 3 and all("\n" not in str(w.message) for w in seen)


def test_where_all_fits_nothing_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(Device(room=100), 7, 3) == list(range(7)) and rows(Device(room=1), 0, 3) == []


def test_a_last_chunk_smaller_than_the_rest_is_halved_from_its_own_size():
    device = Device(room=2)
    with pytest.warns(InputWarning, match="with 3 rays at a time; continuing with 1"):
        assert rows(device, 3, 1000) == [0, 1, 2]


def test_what_does_not_fit_row_by_row_is_an_error():
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(InputWarning):
        rows(Device(room=0), 4, 4)


def test_a_view_is_the_same_where_memory_runs_out(tiny_config, monkeypatch):
    model = Model(tiny_config.model).eval()
    pose = torch.eye(4, dtype=torch.float64)
    pose[2, 3] = -3.0
    camera = Camera(torch.tensor([[20.0, 0.0, 8.0], [0.0, 20.0, 6.0], [0.0, 0.0, 1.0]]).double(), pose, 16, 12)
    whole, render = render_view(model, camera), model.render

    def short_of_memory(origins, *arguments, **named):
        if len(origins) > 50:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return render(origins, *arguments, **named)

    monkeypatch.setattr(model, "render", short_of_memory)
    with pytest.warns(InputWarning, match="continuing with"):
        parts = render_view(model, camera)
    assert torch.allclose(whole.rgb, parts.rgb, atol=1e-5)
