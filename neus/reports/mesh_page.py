"""One offline page that shows a mesh to be turned by mouse and touch; where that cannot be, its six sides."""

import base64
import html
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.files import json_text
from neus.meshing.color_transfer import texture_of
from neus.reports.mesh_data import packed_mesh
from neus.reports.page import DARK, LIGHT, data_uri, figure, page, section, sheet, tiles
from neus.reports.six_sides import side_axes, six_sides

# Nothing may be loaded from anywhere, whatever the page holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
# In one scope, in this order.
SCRIPTS = ("mesh_decoding.js", "mesh_drawing.js", "mesh_viewer.js")
STILL_SIZE = 220
MODES = {"color": "colour", "normals": "normals", "matcap": "matcap"}
STYLE = f"""
:root[data-theme=light]{{{LIGHT}}}:root[data-theme=dark]{{{DARK}}}""" + """
#mesh-viewer{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:14px 0;overflow:hidden;display:flex;
flex-direction:column}#mesh-viewer[hidden]{display:none}#mesh-canvas{display:block;width:100%;height:min(70vh,760px);flex:1 1 auto;
touch-action:none;cursor:grab;outline-offset:-2px}#mesh-canvas:active{cursor:grabbing}
.bar-of-buttons{display:flex;flex-wrap:wrap;gap:6px;padding:8px;border-bottom:1px solid var(--line);align-items:center}
.bar-of-buttons button{font:inherit;font-size:.9rem;color:var(--ink);background:var(--bg);border:1px solid var(--line);border-radius:6px;
padding:4px 11px;cursor:pointer}.bar-of-buttons button[aria-pressed=true]{border-color:var(--c0);color:var(--c0);font-weight:600}
.bar-of-buttons button:disabled{opacity:.4;cursor:default}#mesh-status{font-variant-numeric:tabular-nums;padding:4px 10px;
min-height:2em;border-top:1px solid var(--line)}
"""
HELP = (
    "Drag to turn, right button, Shift or two fingers to move, wheel or pinch to come closer, double click to look at a place; "
    "arrow keys, + and - work as well."
)


def mesh_page(
    mesh: trimesh.Trimesh,
    title: str,
    subtitle: str,
    up: NDArray | None = None,
    front: NDArray | None = None,
    frusta: NDArray | None = None,
    metres: float | None = None,
    facts: Sequence[tuple[str, str]] = (),
) -> str:
    """The whole page as text, which needs no other file and no network.

    Args:
        mesh: in world units, with a texture, vertex colours or neither, as large as the page is to hold it.
        title, subtitle: plain text.
        up, front: (3,) the vertical and the direction of an onlooker, in the mesh's frame; the frame's +Y and +Z if None.
        frusta: (C, 5, 3) cameras: centres and four corners of their images, in the mesh's frame; or None.
        metres: of one unit; None where it is not known.
        facts: (number, what it is) each, shown above the mesh.
    """
    up, front = (np.asarray(given, np.float64) for given in ((0, 1, 0) if up is None else up, (0, 0, 1) if front is None else front))
    packed = packed_mesh(mesh, frusta)
    header = packed.header | {"turn": side_axes(up, front)["front"].tolist(), "metres": metres, "reach": _reach(mesh, frusta)}
    stills = [figure(image, side) for side, image in six_sides(mesh, up, front, STILL_SIZE).items()]
    texture = texture_of(mesh)
    parts = [
        tiles(facts) if facts else "",
        _viewer(),
        '<div id="mesh-still"><p class="soft" id="mesh-why">The mesh is being unpacked; without scripts and WebGL 2 only its six sides '
        f"can be shown.</p>{section('Six sides', sheet(stills, 'six'))}</div>",
        _data("application/json", "mesh-header", json_text(header).replace("</", "<\\/")),
        _data("text/plain", "mesh-data", base64.b64encode(packed.data).decode("ascii")),
        _data("text/plain", "mesh-texture", data_uri(texture[0])) if texture else "",
        _script(),
    ]
    head = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style>'
    return page(title, subtitle, parts, head)


def _viewer() -> str:
    modes = "".join(f'<button id="mode-{name}" aria-pressed="false">{text}</button>' for name, text in MODES.items())
    others = (
        ("show-cameras", "cameras", ' aria-pressed="false"'), ("measure", "measure", ' aria-pressed="false"'), ("home", "reset", ""),
        ("theme", "light / dark", ""), ("whole-screen", "whole screen", ""),
    )  # fmt: skip
    rest = "".join(f'<button id="{name}"{state}>{text}</button>' for name, text, state in others)
    return (
        f'<div id="mesh-viewer" hidden><div class="bar-of-buttons">{modes}{rest}</div>'
        '<canvas id="mesh-canvas" tabindex="0" aria-label="the mesh"></canvas><output id="mesh-status"></output></div>'
        f'<p class="soft">{html.escape(HELP)}</p>'
    )


def _script() -> str:
    folder = files("neus.reports")
    parts = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f'<script>"use strict";(() => {{\n{parts}}})();</script>'


def _data(kind: str, name: str, text: str) -> str:
    return f'<script type="{kind}" id="{name}">{text}</script>'


def _reach(mesh: trimesh.Trimesh, frusta: NDArray | None) -> float:
    """How far cameras lie from the middle of the mesh's box, in half diagonals of it; 1 at least."""
    if frusta is None or len(frusta) == 0:
        return 1.0
    low, high = mesh.bounds
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-300)
    return max(1.0, float(np.linalg.norm(frusta - (low + high) / 2, axis=-1).max()) / radius)
