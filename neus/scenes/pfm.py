"""Portable float maps: images of floating-point numbers, such as depth maps of BlendedMVS."""

import re
from pathlib import Path

import numpy as np

from neus.errors import InputError

# One whitespace alone ends the header: the numbers that follow may look like more.
HEADER = re.compile(rb"(P[fF])\s+(\d{1,6})\s+(\d{1,6})\s+([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s")


def read_pfm(path: Path) -> np.ndarray:
    """(H, W) float32 of a grey PFM file, (H, W, 3) of one in colour; the first row is the uppermost.

    Three lines of text (Pf or PF; width and height; a scale whose sign tells the order of bytes, negative: least first), then
    rows from the lowest up. The scale's size is without meaning here, as in all depth maps.

    Raises:
        InputError: missing, truncated, or no PFM.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a depth map in PFM.")
    data = path.read_bytes()
    header = HEADER.match(data)
    if header is None or float(header[4]) == 0.0:
        raise InputError(f"{path}: not a PFM file; expected Pf, width and height, and a scale. Copy it again.")
    width, height, values = int(header[2]), int(header[3]), data[header.end() :]
    shape = (height, width) if header[1] == b"Pf" else (height, width, 3)
    if len(values) < 4 * int(np.prod(shape)):
        raise InputError(
            f"{path}: {len(values)} bytes of numbers, expected {4 * int(np.prod(shape))} for {width}x{height}; copy it again."
        )
    numbers = np.frombuffer(values, "<f4" if float(header[4]) < 0 else ">f4", count=int(np.prod(shape)))
    return np.ascontiguousarray(numbers.reshape(shape)[::-1]).astype(np.float32)
