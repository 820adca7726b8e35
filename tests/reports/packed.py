"""A mesh decoded from a page by the layout that `neus/reports/mesh_data.py` describes, independently of the page's own script."""

import base64
import gzip
import json
import re

import numpy as np


def element(page, name):
    return re.search(rf'id="{name}">(.*?)</script>', page, re.DOTALL)[1]


def decoded_page(page):
    """header, and faces, positions (n, 3) in the mesh's frame, normals, colors, uv, frusta from the middle of the box."""
    header = json.loads(element(page, "mesh-header"))
    data = np.frombuffer(gzip.decompress(base64.b64decode(element(page, "mesh-data"))), np.uint8)
    n, m3, at = header["vertices"], 3 * header["faces"], 0

    def planes(count, size):
        nonlocal at
        taken = data[at : at + count * size].reshape(count, size).astype(np.int64)
        at += count * size
        return sum(plane << (8 * k) for k, plane in enumerate(taken))

    def steps():
        zigzag = planes(2, n)
        return np.cumsum((zigzag >> 1) ^ -(zigzag & 1)) % 65536

    faces, high = [], 0
    for code in planes(4, m3):
        faces.append(high - code)
        high += code == 0
    found = {"faces": np.array(faces).reshape(-1, 3)}
    found["positions"] = np.stack([steps() for _ in range(3)], axis=-1) * header["step"] + header["low"]
    square = np.stack([planes(1, n), planes(1, n)], axis=-1) / 127.5 - 1.0
    z = 1.0 - np.abs(square).sum(axis=1)
    square -= np.where(square >= 0, 1.0, -1.0) * np.maximum(-z, 0.0)[:, None]
    normals = np.column_stack([square, z])
    found["normals"] = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    if header["has_colors"]:
        found["colors"] = np.stack([np.cumsum(planes(1, n)) % 256 for _ in range(3)], axis=-1)
    if header["has_uv"]:
        found["uv"] = np.stack([steps() * header["uv_step"][k] + header["uv_low"][k] for k in range(2)], axis=-1)
    found["frusta"] = data[at:].view("<f4").reshape(header["cameras"], 5, 3)
    return header, found
