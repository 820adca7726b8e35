from pathlib import Path

import pytest

from neus.errors import InputError
from neus.scenes.selection import Selection

NAMES = ["cam0/000.jpg", "cam1/000.jpg", "cam1/IMG_7.JPG", "8.png", "r_9"]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [0, 1, 2, 3, 4]),
        (Selection(exclude=(0, "IMG_7", "r_9.png")), [1, 3]),
        (Selection(exclude=("cam1/000", "8.png")), [0, 2, 4]),
        (Selection(views=("IMG_7.JPG", 3, 0)), [0, 2, 3]),
        (Selection(views=(1, 2), exclude=("cam1/000.jpg",)), [2]),
        (Selection(exclude=("8",)), [0, 1, 2, 4]),
        (Selection(exclude=("2",)), [0, 1, 3, 4]),
    ],
)
def test_views_are_selected_by_name_stem_or_number(selection, expected):
    assert selection.of(NAMES, Path("scene")) == expected


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(exclude=("IMG_8.JPG",)), "dataset.exclude has 'IMG_8.JPG', which is no view; the nearest name is cam1/IMG_7.JPG"),
        (Selection(views=(5,)), "dataset.views has the number 5, expected 0 to 4"),
        (Selection(exclude=("000",)), "'000', which could be cam0/000.jpg or cam1/000.jpg; give the whole name"),
        (Selection(exclude=tuple(range(5))), "leave none of the 5 views"),
    ],
)
def test_what_selects_nothing_or_several_views_is_an_error(selection, message):
    with pytest.raises(InputError, match=message):
        selection.of(NAMES, Path("scene"))
