"""The page as a browser shows it."""

import numpy as np
import pytest
import trimesh

from neus.reports.mesh_page import mesh_page
from tests.browser import tab_at
from tests.reports.packed import decoded_page

pytestmark = pytest.mark.slow
CAMERA = np.array([[0, 0, 9], [-1, -1, 7], [1, -1, 7], [1, 1, 7], [-1, 1, 7]], np.float64)


@pytest.fixture(scope="module")
def text():
    mesh = trimesh.creation.icosphere(3, radius=2.0)
    mesh.visual.vertex_colors = np.full((len(mesh.vertices), 4), (200, 30, 60, 255), np.uint8)
    mesh.apply_translation((1000.0, 50.0, -3.0))
    return mesh_page(mesh, "ball", "", frusta=CAMERA[None] + (1000.0, 50.0, -3.0), metres=0.01)


@pytest.fixture(scope="module")
def tab(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    (folder / "page.html").write_text(text, encoding="utf-8")
    with tab_at((folder / "page.html").as_uri(), folder / "profile") as tab:
        tab.wait_for("window.neusMesh && (neusMesh.ready || neusMesh.error)")
        assert tab.value("neusMesh.error || ''") == ""
        yield tab


def middle(tab):
    return tab.value(
        "(() => { const b = document.getElementById('mesh-canvas').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )


def test_the_script_decodes_what_was_packed(tab, text):
    header, found = decoded_page(text)
    shown = {name: np.array(tab.value(f"Array.from(neusMesh.{name})")) for name in ("indices", "positions", "normals", "colors", "frusta")}
    center = (np.array(header["low"]) + header["high"]) / 2
    assert np.array_equal(shown["indices"].reshape(-1, 3), found["faces"])
    assert np.allclose(shown["positions"].reshape(-1, 3) + center, found["positions"], atol=1e-5)
    assert np.allclose(shown["normals"].reshape(-1, 3), found["normals"], atol=1e-5)
    assert np.array_equal(shown["colors"].reshape(-1, 4)[:, :3], found["colors"])
    assert np.allclose(shown["frusta"].reshape(-1, 5, 3), found["frusta"])


def test_the_ball_is_seen_in_its_colour_as_a_disk(tab):
    image = tab.image().astype(int)
    is_ball = np.abs(image - (200, 30, 60)).max(axis=-1) < 6
    rows, columns = np.nonzero(is_ball)
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert is_ball.mean() > 0.03 and abs(width - height) <= 3
    assert is_ball.sum() == pytest.approx(np.pi / 4 * width * height, rel=0.03)


def test_a_click_on_the_ball_meets_its_front_and_distances_are_measured(tab):
    x, y = middle(tab)
    tab.value("document.getElementById('mesh-canvas').scrollIntoView({block: 'center'}); Object.assign(neusMesh.state, {pitch: 0})")
    x, y = middle(tab)
    assert np.allclose(tab.value(f"neusMesh.pick({x}, {y})"), (0.0, 0.0, 2.0), atol=0.02)
    assert tab.value("neusMesh.pick(2, 2)") is None
    first, second = (np.array(tab.value(f"neusMesh.pick({x + dx}, {y})")) for dx in (0, 40))
    tab.value(f"document.getElementById('measure').click(), neusMesh.measure({x}, {y}), neusMesh.measure({x + 40}, {y})")
    said = tab.value("document.getElementById('mesh-status').textContent")
    length = float(np.linalg.norm(first - second))
    assert length > 0.1 and float(said.split()[0]) == pytest.approx(length, rel=1e-3)
    assert float(said.split("=")[1].split()[0]) == pytest.approx(0.01 * length, rel=1e-3)
    tab.value("document.getElementById('measure').click()")


def test_dragging_turns_and_the_wheel_comes_closer(tab):
    x, y = middle(tab)
    before = tab.value("[neusMesh.state.yaw, neusMesh.state.distance]")
    for kind, dx, buttons in (("mousePressed", 0, 1), ("mouseMoved", 50, 1), ("mouseReleased", 50, 0)):
        tab.call("Input.dispatchMouseEvent", type=kind, x=x + dx, y=y, button="left", buttons=buttons, clickCount=1)
    tab.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-100)
    yaw, distance = tab.wait_for(f"neusMesh.state.distance < {before[1]} && [neusMesh.state.yaw, neusMesh.state.distance]")
    assert yaw == pytest.approx(before[0] - 0.4) and distance == pytest.approx(before[1] * np.exp(-0.15), rel=1e-3)


def test_a_double_click_looks_at_a_place_of_the_surface(tab):
    x, y = middle(tab)
    place = tab.value(f"neusMesh.pick({x + 30}, {y - 20})")
    for count in (1, 2):
        for kind, buttons in (("mousePressed", 1), ("mouseReleased", 0)):
            tab.call("Input.dispatchMouseEvent", type=kind, x=x + 30, y=y - 20, button="left", buttons=buttons, clickCount=count)
    tab.wait_for("neusMesh.state.target[0] !== 0", 5)
    assert np.allclose(tab.value("neusMesh.state.target"), place)
    assert np.allclose(tab.value(f"neusMesh.pick({x}, {y})"), place, atol=1e-3)


def test_the_still_gives_way_to_the_viewer(tab):
    assert tab.value("document.getElementById('mesh-still').hidden") and not tab.value("document.getElementById('mesh-viewer').hidden")


def test_without_webgl_a_message_and_the_six_sides_are_seen(text, tmp_path):
    broken = text.replace('getContext("webgl2"', 'getContext("no such context"')
    assert broken != text
    (tmp_path / "page.html").write_text(broken, encoding="utf-8")
    with tab_at((tmp_path / "page.html").as_uri(), tmp_path / "profile") as tab:
        tab.wait_for("window.neusMesh && neusMesh.error")
        assert tab.value("document.getElementById('mesh-viewer').hidden")
        assert "WebGL 2 is switched off" in tab.value("document.getElementById('mesh-why').innerText")
