"""Cameras, sphere and visual hull of a scene in one image, from the front, from the right and from above."""

import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.checks.check import SceneCheck, check_record
from neus.checks.findings import Finding
from neus.checks.silhouettes import Silhouettes
from neus.errors import InputWarning
from neus.files import write_json
from neus.reports.six_sides import side_axes
from neus.scenes.images import write_image
from neus.scenes.scene import Scene

FILE, PICTURE = "check.json", "check.png"
# Size of one panel, of the lines of text over it and under all of them, and room within a panel, pixels.
PANEL, HEADER, FOOTER, ROOM = 600, 40, 76, 36
SIDES = {"front": "from the front", "right": "from the right", "top": "from above"}
PAPER, INK, FAINT = (255, 255, 255), (45, 45, 45), (205, 205, 205)
SPHERE, HULL, CAMERA, WRONG = (45, 105, 200), (236, 160, 80), (95, 95, 95), (205, 30, 40)
# Points of the hull are drawn in shades of HULL by depth: the darkest fraction of it.
FAR_SHADE = 0.62
# Up to so many cameras all carry their numbers; of more only those with findings do.
NUMBERED = 60
# Height of a camera's pyramid over the distance of the usual camera.
PYRAMID = 0.09


def check_image(scene: Scene, findings: list[Finding], silhouettes: Silhouettes | None) -> NDArray:
    """(H, W, 3) uint8 RGB: three parallel projections side by side; cameras with findings are red."""
    named = {view for finding in findings for view in finding.views}
    up, front = (
        -scene.camera_to_scene[:, :3, 1].numpy().mean(axis=0),
        scene.camera_to_scene[:, :3, 3].numpy().mean(axis=0),
    )
    axes = side_axes(
        *(vector if np.linalg.norm(vector) > 1e-9 else np.eye(3)[i] for i, vector in ((2, up), (1, front)))
    )
    scale = (PANEL / 2 - ROOM) / _reach(scene)
    panels = [_panel(scene, title, axes[side], scale, silhouettes, named) for side, title in SIDES.items()]
    panels = [cv2.copyMakeBorder(panel, 0, 0, 0, 1, cv2.BORDER_CONSTANT, value=FAINT) for panel in panels]
    image = np.concatenate(panels, axis=1)
    return np.concatenate([image, _legend(image.shape[1], scale, silhouettes is not None, len(named))])


def _reach(scene: Scene) -> float:
    """How far from the sphere's centre the image reaches: to nearly all cameras, and to the sphere."""
    distances = np.linalg.norm(scene.camera_to_scene[:, :3, 3].numpy(), axis=-1)
    return max(1.2, 1.08 * min(float(distances.max()), 2.0 * float(np.median(distances))))


def _panel(
    scene: Scene, title: str, axes: NDArray, scale: float, silhouettes: Silhouettes | None, named: set[int]
) -> NDArray:
    panel = np.full((PANEL + HEADER, PANEL, 3), PAPER, np.uint8)

    def placed(points: NDArray) -> NDArray:
        across, up, _ = axes @ np.atleast_2d(points).T
        return np.stack([PANEL / 2 + scale * across, HEADER + PANEL / 2 - scale * up], axis=-1)

    if silhouettes is not None and len(silhouettes.hull):
        _draw_hull(panel, placed(silhouettes.hull), silhouettes.hull @ axes[2], silhouettes.step * scale)
    middle = placed(np.zeros(3))[0]
    cv2.circle(panel, _pixel(middle), round(scale), SPHERE, 2, cv2.LINE_AA)
    cv2.drawMarker(panel, _pixel(middle), SPHERE, cv2.MARKER_CROSS, 12, 1, cv2.LINE_AA)
    size = PYRAMID * float(np.median(np.linalg.norm(scene.camera_to_scene[:, :3, 3].numpy(), axis=-1)))
    for view in sorted(range(len(scene)), key=lambda view: view in named):  # red ones last, over the others
        _draw_camera(panel, scene, view, placed, size, view in named)
    cv2.rectangle(panel, (0, 0), (PANEL, HEADER - 2), PAPER, -1)
    cv2.putText(panel, title, (14, 27), cv2.FONT_HERSHEY_SIMPLEX, 0.68, INK, 1, cv2.LINE_AA)
    return panel


def _draw_hull(panel: NDArray, places: NDArray, nearness: NDArray, step: float) -> None:
    """A disc for each point, nearer ones over farther ones: the nearest are the brightest, so the maximum is drawn."""
    radius = max(1, round(0.55 * step))
    shades = np.interp(nearness, (nearness.min(), max(nearness.max(), nearness.min() + 1e-9)), (FAR_SHADE, 1.0))
    columns, rows = np.rint(places).astype(int).T
    inside = (columns >= 0) & (rows >= 0) & (columns < panel.shape[1]) & (rows < panel.shape[0])
    drawn = np.zeros(panel.shape[:2], np.float32)
    np.maximum.at(drawn, (rows[inside], columns[inside]), shades[inside])
    disc = cv2.circle(np.zeros((2 * radius + 1,) * 2, np.uint8), (radius, radius), radius, 1, -1)
    drawn = cv2.dilate(drawn, disc)[..., None]
    panel[:] = np.where(drawn > 0, np.round(drawn * np.array(HULL, np.float32)), panel).astype(np.uint8)


def _draw_camera(panel: NDArray, scene: Scene, view: int, placed: object, size: float, is_named: bool) -> None:
    camera, color = scene.camera(view), WRONG if is_named else CAMERA
    corners = np.array([[0, 0], [camera.width, 0], [camera.width, camera.height], [0, camera.height]], np.float64)
    rays = np.concatenate([corners, np.ones((4, 1))], axis=-1) @ np.linalg.inv(camera.intrinsics.numpy()).T
    pose = camera.camera_to_scene.numpy()
    base = placed(size * rays @ pose[:3, :3].T + pose[:3, 3])
    tip = placed(pose[:3, 3])[0]
    for i in range(4):
        cv2.line(panel, _pixel(tip), _pixel(base[i]), color, 1, cv2.LINE_AA)
        cv2.line(panel, _pixel(base[i]), _pixel(base[i - 1]), color, 1, cv2.LINE_AA)
    cv2.circle(panel, _pixel(tip), 4 if is_named else 2, color, -1, cv2.LINE_AA)
    if is_named or len(scene) <= NUMBERED:
        place = _pixel(tip + (5, -4))
        cv2.putText(panel, str(view), place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)


def _legend(width: int, scale: float, has_hull: bool, n_named: int) -> NDArray:
    strip = np.full((FOOTER, width, 3), PAPER, np.uint8)
    entries = [(SPHERE, "unit sphere: what is reconstructed")]
    entries += [(HULL, "visual hull")] if has_hull else []
    entries += [(CAMERA, "camera and its number")]
    entries += [(WRONG, f"camera of a view with findings ({n_named})")] if n_named else []
    x = 18
    for color, text in entries:
        cv2.circle(strip, (x + 6, FOOTER // 2), 7, color, -1, cv2.LINE_AA)
        cv2.putText(strip, text, (x + 22, FOOTER // 2 + 6), cv2.FONT_HERSHEY_SIMPLEX, 0.58, INK, 1, cv2.LINE_AA)
        x += 60 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.58, 1)[0][0]
    end = width - 30
    cv2.line(strip, (end - round(scale), FOOTER // 2 + 10), (end, FOOTER // 2 + 10), INK, 2)
    cv2.putText(
        strip, "radius 1", (end - round(scale), FOOTER // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA
    )
    return strip


def _pixel(place: NDArray) -> tuple[int, int]:
    # Far-away cameras must not overflow OpenCV's integers.
    return tuple(int(round(float(np.clip(value, -1e4, 1e4)))) for value in place)


def write_check(scene: Scene, result: SceneCheck, folder: Path) -> Path:
    """The folder, in which check.json and check.png now lie.

    Raises:
        InputError: it cannot be written.
    """
    folder = Path(folder)
    write_json(folder / FILE, check_record(scene, result))
    try:
        image = check_image(scene, result.findings, result.shape.silhouettes)
    except Exception as error:  # the findings and numbers are worth having without it
        warnings.warn(f"{folder / PICTURE}: not drawn ({type(error).__name__}: {error})", InputWarning, stacklevel=2)
    else:
        write_image(folder / PICTURE, image)
    return folder
