import time

from neus.runs.console import TERMINAL
from neus.runs.load import read_scene_on
from neus.scenes import memory
from neus.scenes.readers import DatasetConfig


def test_a_bar_shows_the_time_left_once_its_delay_is_over(capsys):
    for delay in (0.05, 1000.0):
        with TERMINAL.bar("reading", " images", delay=delay) as bar:
            time.sleep(0.2)
            bar(3, 12)
        shown = capsys.readouterr().err
        assert shown == "" if delay > 1 else "reading:  25%" in shown and "3.00/12.0" in shown and "<" in shown


def test_small_scenes_are_read_in_silence_and_large_ones_announced(scene_folder, capsys, monkeypatch):
    assert len(read_scene_on(TERMINAL, scene_folder, DatasetConfig())) == 4
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(memory, "WORTH_A_LINE", 0)
    read_scene_on(TERMINAL, scene_folder, DatasetConfig())
    assert capsys.readouterr().out.startswith("images: 4 of 32x24 pixels; ")
