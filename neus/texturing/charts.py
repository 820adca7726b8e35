"""A mesh cut into charts that lie flat: by xatlas, piece by piece and within a time limit, else by the six main directions."""

import importlib.util
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neus.kernels.threads import n_threads
from neus.meshing.measures import connected_numbers
from neus.texturing.box_charts import box_charts
from neus.texturing.chart_worker import receive, send

# xatlas merges charts in a time that grows with the square of their number: 12 000 faces of a rough surface take 9 s, four times
# 3 000 take 3 s, and both come to as many charts.
FACES_OF_A_PIECE = 3_000
# Seconds. A piece takes one on a quiet machine; what takes much longer ends never (surfaces that are not manifold).
LIMIT_OF_A_PIECE, LIMIT_OF_PACKING = 20.0, 90.0
# xatlas weighs areas and lengths against fixed thresholds: pieces are enlarged to this half side. At 1 there are twice as many charts, and
# faces are left out.
EXTENT = 1000.0
# Once so many pieces have run out of time, so will the others.
MOST_LOST = 6


class Charts(NamedTuple):
    """Charts of a mesh, each flattened at its own area.

    Attributes:
        sources: (k,) the vertex of the mesh that each corner of the charts is made of.
        faces: (m, 3) among the corners, in the order of the mesh.
        uvs: (k, 2) in the mesh's unit of length, charts overlapping each other.
        numbers: (m,) the chart of each face.
        n_boxed: faces that were projected by main directions.
    """

    sources: NDArray
    faces: NDArray
    uvs: NDArray
    numbers: NDArray
    n_boxed: int


def has_xatlas() -> bool:
    """Whether xatlas is installed: there is none for Linux on ARM."""
    return importlib.util.find_spec("xatlas") is not None


def charts_of(vertices: NDArray, faces: NDArray, limit: float = LIMIT_OF_A_PIECE, use_xatlas: bool = True) -> Charts:
    """Charts of a manifold mesh.

    The mesh is cut in halves along its longest axis until pieces have FACES_OF_A_PIECE, and each is charted by xatlas in a process of
    its own, as many at a time as torch has threads. A piece that takes longer than `limit` is projected by main directions instead, and
    so are all pieces where `use_xatlas` is False.

    Args:
        vertices: (n, 3).
        faces: (m, 3) of area above 0, at most two at each edge.
        limit: seconds for a piece.
        use_xatlas: False for main directions alone.
    """
    pieces = cut_in_pieces(vertices[faces].mean(axis=1), FACES_OF_A_PIECE)
    found: list[Charts | None] = [None] * len(pieces)
    if use_xatlas:
        with ThreadPoolExecutor(min(n_threads(), len(pieces))) as pool:
            source = _Source(pieces)
            tasks = [pool.submit(_chart_pieces, vertices, faces, source, found, limit) for _ in range(pool._max_workers)]
            for task in tasks:
                task.result()
    for number, piece in enumerate(pieces):
        if found[number] is None:
            found[number] = _boxed(vertices, faces[piece])
    return _parted(_joined(pieces, found, len(faces)))


def _parted(charts: Charts) -> Charts:
    """The charts with corners of their own for parts that no edge connects, each a chart: packing moves them apart."""
    faces = charts.faces
    starts, ends, corners = faces.ravel(), np.roll(faces, -1, axis=1).ravel(), np.arange(faces.size).reshape(-1, 3)
    following = np.roll(corners, -1, axis=1).ravel()
    keys = np.minimum(starts, ends) * len(charts.sources) + np.maximum(starts, ends)
    order = np.argsort(keys, kind="stable")
    meets = keys[order[1:]] == keys[order[:-1]]
    one, other = order[:-1][meets], order[1:][meets]
    turned = starts[one] == ends[other]
    first, second = np.where(turned, following[other], other), np.where(turned, other, following[other])
    labels = connected_numbers(faces.size, np.concatenate([one, following[one]]), np.concatenate([first, second]))
    old = np.empty(labels.max() + 1, np.int64)
    old[labels] = starts
    faces = labels.reshape(-1, 3).astype(np.int64)
    numbers = connected_numbers(len(old), faces.ravel(), np.roll(faces, -1, axis=1).ravel())[faces[:, 0]]
    return Charts(charts.sources[old], faces, charts.uvs[old], _renumbered(numbers), charts.n_boxed)


def cut_in_pieces(centers: NDArray, most: int) -> list[NDArray]:
    """Numbers of things at centers (m, 3), in pieces of at most `most`: halves, across the longest side of their box.

    >>> [len(piece) for piece in cut_in_pieces(np.random.default_rng(0).random((10, 3)), 4)]
    [2, 3, 2, 3]
    """
    waiting, done = [np.arange(len(centers))], []
    while waiting:
        piece = waiting.pop()
        if len(piece) <= most:
            done.append(piece)
            continue
        axis = np.ptp(centers[piece], axis=0).argmax()
        order = piece[np.argsort(centers[piece, axis], kind="stable")]
        waiting += [order[len(piece) // 2 :], order[: len(piece) // 2]]
    return [np.sort(piece) for piece in done]


class Worker:
    """A process with `chart_worker` that is started when it is needed, and ended when it takes too long."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def ask(self, limit: float, **request: Any) -> dict[str, Any] | None:
        """The answer to a request; None if there was none within `limit` seconds, or the process failed."""
        process = self._running()
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            send(process.stdin, request)
            answer = receive(process.stdout)
        except (OSError, EOFError, ValueError):
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            self.close()
        return answer

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    stream.close()
            self._process.wait()
            self._process = None

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            root = str(Path(__file__).parents[2])
            paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
            command = [sys.executable, "-m", "neus.texturing.chart_worker"]
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, **streams)
        return self._process


@dataclass
class _Source:
    """Pieces still to be charted, handed out one by one, and how many took too long."""

    pieces: list[NDArray]
    given: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def next(self) -> int | None:
        with self.lock:
            if self.given == len(self.pieces) or self.lost >= MOST_LOST:
                return None
            self.given += 1
            return self.given - 1


def _chart_pieces(vertices: NDArray, faces: NDArray, source: _Source, found: list[Charts | None], limit: float) -> None:
    worker = Worker()
    try:
        while (number := source.next()) is not None:
            used, local = np.unique(faces[source.pieces[number]], return_inverse=True)
            local = local.reshape(-1, 3)
            points = vertices[used] - vertices[used].mean(axis=0)
            points *= EXTENT / max(float(np.abs(points).max()), 1e-300)
            answer = worker.ask(limit, task="chart", vertices=points.astype(np.float32), faces=local)
            if answer is None:
                source.lost += 1
                continue
            found[number] = _of_answer(vertices, used, local, answer)
    finally:
        worker.close()


def _of_answer(vertices: NDArray, used: NDArray, local: NDArray, answer: dict[str, Any]) -> Charts | None:
    """What xatlas made of a piece, each chart scaled to its area in space; faces that it left out are projected."""
    if not np.array_equal(answer["sources"][answer["faces"]], local):
        return None
    charted = np.flatnonzero(answer["charts"] >= 0)
    numbers = answer["charts"][charted]
    corners, places = vertices[used[local[charted]]], answer["uvs"][answer["faces"][charted]].astype(np.float64)
    n_charts = int(numbers.max(initial=-1)) + 1
    areas = np.bincount(numbers, triangle_areas(corners), minlength=n_charts)
    flat = np.bincount(numbers, np.abs(signed_areas(places)), minlength=n_charts)
    scales = np.sqrt(areas / np.maximum(flat, 1e-300))
    of_corner = np.zeros(len(answer["uvs"]))
    of_corner[answer["faces"][charted]] = scales[numbers][:, None]
    found = Charts(used[answer["sources"]], answer["faces"], answer["uvs"] * of_corner[:, None], answer["charts"], 0)
    left = np.flatnonzero((answer["charts"] < 0) | (scales * (areas > 0) <= 0)[answer["charts"]])
    if not len(left):
        return found
    boxed = _boxed(vertices, used[local[left]])
    kept = np.setdiff1d(np.arange(len(local)), left)
    part = Charts(found.sources, found.faces[kept], found.uvs, _renumbered(found.numbers[kept]), 0)
    return _joined([kept, left], [part, boxed], len(local))


def _boxed(vertices: NDArray, faces: NDArray) -> Charts:
    sources, corners, uvs, numbers = box_charts(vertices, faces)
    return Charts(sources, corners, uvs, numbers, len(faces))


def _joined(pieces: list[NDArray], found: list[Charts], n_faces: int) -> Charts:
    faces, numbers = np.zeros((n_faces, 3), np.int64), np.zeros(n_faces, np.int64)
    n_corners = n_charts = 0
    for piece, part in zip(pieces, found, strict=True):
        faces[piece] = part.faces + n_corners
        numbers[piece] = part.numbers + n_charts
        n_corners += len(part.sources)
        n_charts += int(part.numbers.max(initial=-1)) + 1
    sources, uvs = (np.concatenate([getattr(part, name) for part in found]) for name in ("sources", "uvs"))
    used, faces = np.unique(faces, return_inverse=True)
    n_boxed = sum(part.n_boxed for part in found)
    return Charts(sources[used], faces.reshape(-1, 3), uvs[used], numbers, n_boxed)


def _renumbered(numbers: NDArray) -> NDArray:
    return np.unique(numbers, return_inverse=True)[1].reshape(-1)


def triangle_areas(corners: NDArray) -> NDArray:
    """(m,) areas of triangles (m, 3, 3) in space."""
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def signed_areas(corners: NDArray) -> NDArray:
    """(m,) areas of triangles (m, 3, 2) in a plane, below 0 where they run the other way round."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
