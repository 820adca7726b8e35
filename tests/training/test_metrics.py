import errno
import math

import pytest

from neus.errors import InputError
from neus.training.metrics import MetricsWriter, read_metrics


def written(folder, iterations, from_iteration=0):
    writer = MetricsWriter(folder, from_iteration)
    for i in iterations:
        writer.write(i, {"total": 1.0 / i, "psnr": 20.0 + i})
    writer.close()
    return folder / "metrics.jsonl"


def test_what_is_written_is_read_back(tmp_path):
    assert read_metrics(written(tmp_path, [1, 2])) == [
        {"iteration": 1, "total": 1.0, "psnr": 21.0},
        {"iteration": 2, "total": 0.5, "psnr": 22.0},
    ]


def test_resuming_drops_the_lines_of_the_future_that_was_lost(tmp_path):
    written(tmp_path, [1, 2, 3, 4])
    path = written(tmp_path, [3], from_iteration=2)
    assert [line["iteration"] for line in read_metrics(path)] == [1, 2, 3]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    path = written(tmp_path, [1, 2])
    path.write_text(path.read_text() + '{"iteration": 3, "tot')
    assert [line["iteration"] for line in read_metrics(path)] == [1, 2]
    assert [line["iteration"] for line in read_metrics(written(tmp_path, [3], from_iteration=2))] == [1, 2, 3]


def test_tensorboard_files_hold_the_names_that_users_of_neus_look_for(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written(tmp_path, [1, 2])
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert {"Loss/loss", "Statistics/psnr"} <= set(events.Tags()["scalars"])
    assert [(e.step, e.value) for e in events.Scalars("Loss/loss")] == [(1, 1.0), (2, 0.5)]


def test_a_full_disk_is_said_in_one_line(tmp_path):
    writer = MetricsWriter(tmp_path, 0)

    def full(text):
        raise OSError(errno.ENOSPC, "No space left on device")

    writer._file.close()
    writer._file = type("Full", (), {"write": staticmethod(full), "close": staticmethod(lambda: None)})()
    with pytest.raises(InputError, match=r"metrics.jsonl: cannot be written \(No space left on device\)"):
        writer.write(1, {"total": 1.0})
    writer.close()


def test_a_loss_that_is_no_number_is_null_in_the_file_and_nan_when_read(tmp_path):
    writer = MetricsWriter(tmp_path, 0)
    writer.write(1, {"total": math.nan, "psnr": math.inf})
    writer.close()
    assert '"total": null, "psnr": null' in writer.path.read_text()
    (line,) = read_metrics(writer.path)
    assert math.isnan(line["total"]) and math.isnan(line["psnr"]) and line["iteration"] == 1
