"""A process of its own for xatlas, which can be ended when it takes too long: requests come on stdin, answers leave on stdout.

Messages are pickled dictionaries behind their length in 8 bytes, between this program and itself alone.
"""

import pickle
import struct
import sys
from typing import Any, BinaryIO

import numpy as np


def receive(stream: BinaryIO) -> Any:
    """The next message of a stream; None at its end."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    data = stream.read(struct.unpack("<Q", head)[0])
    return pickle.loads(data)


def send(stream: BinaryIO, message: Any) -> None:
    """Writes a message to a stream."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def charted(vertices: np.ndarray, faces: np.ndarray) -> dict[str, np.ndarray]:
    """Charts of a piece of surface, each flattened with its own area.

    Args:
        vertices: (n, 3) float32.
        faces: (m, 3) of a manifold.

    Returns:
        sources (k,) the vertex that each corner of the charts is made of, faces (m, 3) among these, uvs (k, 2) in xatlas' texels, and
        charts (m,) the number of each face's chart, -1 for a face that xatlas left out.
    """
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.uint32))
    atlas.generate(xatlas.ChartOptions(), xatlas.PackOptions())
    sources, corners, uvs = atlas.get_mesh(0)
    charts = np.full(len(faces), -1)
    for number in range(atlas.get_mesh_chart_count(0)):
        charts[np.asarray(atlas.get_mesh_chart(0, number).faces, np.int64)] = number
    size = np.array([atlas.width, atlas.height], np.float64)
    return {"sources": sources.astype(np.int64), "faces": corners.astype(np.int64), "uvs": uvs * size, "charts": charts}


def packed(
    uvs: np.ndarray, faces: np.ndarray, charts: np.ndarray, texels_per_unit: float, padding: int, tries_all: bool
) -> dict[str, Any]:
    """Charts laid side by side.

    Args:
        uvs: (k, 2) of the charts, in any unit that is the same for all.
        faces: (m, 3).
        charts: (m,) number of each face's chart.
        texels_per_unit: how large they become.
        padding: texels left free between charts.
        tries_all: try every place for each chart, else some at random.

    Returns:
        sources (l,) the number of each packed corner among the given ones, faces (m, 3) among these, uvs (l, 2) in texels, and the
        sides of the rectangle that holds them.
    """
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(
        np.ascontiguousarray(uvs, np.float32), np.ascontiguousarray(faces, np.uint32), np.ascontiguousarray(charts, np.uint32)[:, None]
    )
    options = xatlas.PackOptions()
    options.padding, options.texels_per_unit, options.bilinear, options.bruteForce = padding, texels_per_unit, True, tries_all
    atlas.generate(xatlas.ChartOptions(), options)
    sources, corners, places = atlas.get_mesh(0)
    size = np.array([atlas.width, atlas.height], np.float64)
    return {"sources": sources.astype(np.int64), "faces": corners.astype(np.int64), "uvs": places * size, "size": size}


def main() -> None:
    """Answers requests {"task": name, ...} until stdin ends."""
    # xatlas may print; its words must not get among the answers.
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    tasks = {"chart": charted, "pack": packed}
    while (request := receive(sys.stdin.buffer)) is not None:
        send(answers, tasks[request.pop("task")](**request))


if __name__ == "__main__":
    main()
