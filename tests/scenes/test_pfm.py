import struct

import numpy as np
import pytest

from neus.errors import InputError
from neus.scenes.pfm import read_pfm


def write_pfm(path, rows, order="<", scale=1.0):
    """A PFM by its definition: rows from the lowest up, a negative scale for the least byte first."""
    height, width = len(rows), len(rows[0])
    numbers = b"".join(struct.pack(f"{order}{width}f", *row) for row in reversed(rows))
    path.write_bytes(f"Pf\n{width} {height}\n{-scale if order == '<' else scale}\n".encode() + numbers)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_first_row_read_is_the_uppermost_in_either_order_of_bytes(tmp_path, order):
    rows = [[1.5, -2.0, 3.0], [0.0, 1e6, 7.25]]
    found = read_pfm(write_pfm(tmp_path / "a.pfm", rows, order))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, rows)


def test_numbers_that_begin_like_whitespace_are_numbers(tmp_path):
    value = struct.unpack("<f", b"\n \r\t")[0]
    np.testing.assert_array_equal(read_pfm(write_pfm(tmp_path / "a.pfm", [[value, 1.0]])), np.float32([[value, 1.0]]))


def test_colour_maps_have_three_channels(tmp_path):
    numbers = np.arange(12, dtype="<f4").reshape(2, 2, 3)
    (tmp_path / "a.pfm").write_bytes(b"PF 2 2 -1\n" + numbers[::-1].tobytes())
    np.testing.assert_array_equal(read_pfm(tmp_path / "a.pfm"), numbers)


@pytest.mark.parametrize("content", [b"", b"P5\n2 2\n255\n", b"Pf\n2 x\n-1\n", b"Pf\n2 2\n0\n" + bytes(16)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.pfm").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pfm: not a PFM file"):
        read_pfm(tmp_path / "a.pfm")


def test_a_truncated_or_missing_file_is_named(tmp_path):
    path = write_pfm(tmp_path / "a.pfm", [[1.0, 2.0]])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="7 bytes of numbers, expected 8 for 2x1"):
        read_pfm(path)
    with pytest.raises(InputError, match="no such file; expected a depth map"):
        read_pfm(tmp_path / "b.pfm")
