import base64
import re

import cv2
import numpy as np
import pytest

from neus.reports.page import data_uri, figure, page, table, time_bar, warning_list
from tests.reports.pages import problems_of


def decoded(uri):
    return cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_image_survives_the_page():
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    assert np.array_equal(cv2.cvtColor(decoded(data_uri(rgba)), cv2.COLOR_BGRA2RGBA), rgba)
    rgb = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    assert np.abs(decoded(data_uri(rgb))[..., ::-1].astype(int) - rgb).max() < 6


def test_text_cannot_become_markup():
    evil = "<script>alert('x')</script> & \"quotes\""
    parts = [
        table([(evil, evil)]),
        warning_list([evil]),
        figure(np.zeros((2, 2, 3), np.uint8), evil),
        time_bar({evil: 1.0}),
    ]
    text = page(evil, evil, parts)
    assert "<script" not in text and problems_of(text) == []


def test_the_shares_of_the_bar_add_up():
    fractions = [float(s) for s in re.findall(r"flex:([\d.]+)", time_bar({"a": 30.0, "b": 10.0, "c": 0.0}))]
    assert fractions == pytest.approx([0.75, 0.25, 0.0])


@pytest.mark.parametrize(
    ("page_text", "said"),
    [
        ("<p><b>x</p></b>", "</p> closes <b>"),
        ("<div>", "never closed"),
        ('<img src="https://example.org/a.png">', "loads https://example.org"),
        ("<style>@import url(x.css)</style>", "loads"),
        ('<script src="a.js"></script>', "a.js"),
    ],
)
def test_the_check_of_pages_finds_what_is_wrong(page_text, said):
    assert any(said in problem for problem in problems_of(page_text))
