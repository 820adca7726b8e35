"""Frames of a video: equal steps of motion, the sharpest of each."""

import numpy as np
import pytest

from neus.capture.frames import Watched, choose, watch
from neus.capture.video import video_facts, watched_frames, write_frames
from neus.errors import InputError
from neus.runs.videos import write_video
from neus.scenes.images import read_rgb
from neus.workflows.process import process_capture
from tests.capture.corner import textures


def test_frames_are_taken_by_motion_and_not_by_time():
    motion = np.concatenate([np.zeros(100), np.full(100, 0.05), np.zeros(50)])
    chosen = choose(Watched(motion, np.ones(250)), 10).numbers
    assert len(chosen) == 10 and sum(99 <= number <= 200 for number in chosen) >= 9


def test_each_step_gives_its_sharpest_frame():
    generator = np.random.default_rng(0)
    sharpness = generator.uniform(1.0, 2.0, 300)
    chosen = choose(Watched(np.full(300, 0.02), sharpness), 30).numbers
    assert [number // 10 for number in chosen] == list(range(30))
    assert all(sharpness[n] == sharpness[n // 10 * 10 : n // 10 * 10 + 10].max() for n in chosen)


def test_a_side_with_little_texture_is_kept_and_a_blurred_step_is_not():
    sharpness = np.concatenate([np.full(100, 100.0), np.full(100, 10.0)])
    assert choose(Watched(np.full(200, 0.05), sharpness), 20).blurred == []
    sharpness[40:50] = 5.0
    choice = choose(Watched(np.full(200, 0.05), sharpness), 20)
    assert len(choice.numbers) == 19 and [number // 10 for number in choice.blurred] == [4]


def test_the_number_of_frames_follows_the_motion_within_limits():
    def count(total: float) -> int:
        return len(choose(Watched(np.full(2000, total / 2000), np.ones(2000))).numbers)

    assert count(0.5) == 60 and count(8.0) == 100 and count(100.0) == 150


def test_fast_steps_are_counted():
    motion = np.full(100, 0.02)
    motion[50] = 0.4
    assert choose(Watched(motion, np.ones(100)), 10).n_too_fast == 1


@pytest.fixture(scope="module")
def pan(tmp_path_factory):
    """A video of 40 frames that pans over a wall by 4 pixels a frame, its numbers, and its frames."""
    wall = np.round(255 * textures()[0]).astype(np.uint8)
    frames = [np.repeat(wall[100:340, 4 * i : 4 * i + 320, None], 3, axis=2) for i in range(40)]
    path = tmp_path_factory.mktemp("pan") / "pan.mp4"
    write_video(path, frames, 320, 240)
    return path, frames


def test_the_motion_of_a_pan_is_measured(pan):
    watched = watch(watched_frames(pan[0]))
    assert len(watched.motion) == 40 and watched.motion[0] == 0.0
    assert np.median(watched.motion[1:]) == pytest.approx(4 / 320, rel=0.05)
    assert video_facts(pan[0]).n_frames == 40 and not video_facts(pan[0]).is_hdr


def test_the_frames_that_are_written_are_those_that_were_asked_for(pan, tmp_path):
    path, frames = pan
    files = write_frames(path, [3, 17, 39], tmp_path, False)
    assert [file.name for file in files] == ["frame_000003.jpg", "frame_000017.jpg", "frame_000039.jpg"]
    for file, number in zip(files, (3, 17, 39), strict=True):
        errors = [np.abs(read_rgb(file).astype(int) - frame).mean() for frame in frames]
        assert int(np.argmin(errors)) == number
    assert sorted(tmp_path.iterdir()) == files


def test_a_video_that_stands_still_and_one_that_is_none_are_refused(pan, tmp_path):
    write_video(tmp_path / "still.mp4", [pan[1][0]], 320, 240)
    with pytest.raises(InputError, match="1 frames, of which 1 differ"):
        process_capture(tmp_path / "still.mp4", tmp_path / "scene")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match="no readable video") as error:
        process_capture(tmp_path / "text.mp4", tmp_path / "scene")
    assert "\n" not in str(error.value)


