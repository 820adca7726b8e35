"""Attempts follow each other until nearly all images are posed, none is made twice, and what is left is named with a reason."""

from contextlib import closing
from pathlib import Path

import pycolmap
import pytest

from neus.capture import ladder
from neus.capture.intake import CapturedImage
from neus.capture.ladder import Outcome, Settings, climb, pairs_for
from neus.capture.reasons import nothing_posed, why_not
from neus.capture.stages import Stages
from neus.capture.steps import StepFailed
from neus.errors import InputError
from neus.runs.console import QUIET

NAMES = [f"{i}.jpg" for i in range(10)]


def image(name: str, blur: float = 0.3, device: tuple = ()) -> CapturedImage:
    return CapturedImage(name, name, 400, 300, (400, 300), device, None, blur, f"digest of {name}")


IMAGES = [image(name) for name in NAMES]


@pytest.fixture
def steps(monkeypatch):
    """Steps that do nothing but note that they were asked for, and how many images each mapping poses."""
    made, posed = [], []

    def run(step, job, place, on_progress=None, count=None):
        made.append(step)
        if step == "map" and posed[0] is None:
            raise StepFailed("killed by signal 9")

    def best(folder):
        n = posed.pop(0)
        return folder / "0", dict.fromkeys(NAMES[:n], 100)

    monkeypatch.setattr(ladder, "run_step", run)
    monkeypatch.setattr(ladder, "best_model", best)
    monkeypatch.setattr(ladder, "verified_pairs", lambda database: [])
    monkeypatch.setattr(ladder, "_write_copies", lambda *_: None)
    monkeypatch.setattr(ladder.shutil, "copyfile", lambda source, target: target)
    return made, posed


def test_the_first_attempt_is_the_last_if_it_poses_nearly_all(steps, tmp_path):
    made, posed = steps
    posed += [10]
    (outcome,) = climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))
    assert made == ["extract", "match", "map"] and outcome.posed == NAMES


def test_the_same_matches_are_mapped_leniently_before_new_features_are_found(steps, tmp_path):
    made, posed = steps
    posed += [8, 10]
    (outcome,) = climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))
    assert made == ["extract", "match", "map", "map"] and len(outcome.posed) == 10


def test_all_poses_at_once_are_looked_for_where_hardly_any_is_found(steps, tmp_path):
    made, posed = steps
    posed += [2, 3, 10]
    climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))
    assert made == ["extract", "match", "map", "map", "map"]


def test_the_best_of_all_attempts_is_kept(steps, tmp_path):
    made, posed = steps
    posed += [7, 8, 9, 9, 6, 6]
    outcomes = climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))
    assert [len(outcome.posed) for outcome in outcomes] == [9, 8, 6] and made.count("extract") == 3


def test_an_attempt_that_was_made_is_not_made_again_unless_something_changed(steps, tmp_path):
    made, posed = steps
    posed += [10, 10, 10]
    climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))
    made.clear()
    climb(IMAGES, tmp_path, Settings("all", n_threads=4), Stages(QUIET))
    assert made == []
    climb(IMAGES, tmp_path, Settings("all", seed=1), Stages(QUIET))
    climb([*IMAGES[:9], image("new.jpg")], tmp_path, Settings("all"), Stages(QUIET))
    assert made == ["extract", "match", "map"] * 2


def test_a_failed_attempt_is_followed_by_the_next_and_made_again_later(steps, tmp_path):
    made, posed = steps
    posed += [None]
    outcomes = climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))
    assert [outcome.fault for outcome in outcomes] == ["killed by signal 9"] * 3
    assert "COLMAP failed in each attempt (killed by signal 9)" in nothing_posed(IMAGES, outcomes)
    made.clear()
    posed[:] = [10]
    assert len(climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))[0].posed) == 10


def test_a_full_disk_is_named(steps, tmp_path, monkeypatch):
    _, posed = steps
    posed += [None]
    monkeypatch.setattr(ladder, "LEAST_FREE", float("inf"))
    with pytest.raises(InputError, match="the disk is full"):
        climb(IMAGES, tmp_path, Settings("all"), Stages(QUIET))


def test_no_other_attempt_begins_once_the_time_is_over(steps, tmp_path):
    made, posed = steps
    posed += [5, 6]
    assert len(climb(IMAGES, tmp_path, Settings("all", max_seconds=0.0), Stages(QUIET))) == 1


def test_pairs_follow_from_what_is_given():
    assert [pairs_for(80, False), pairs_for(81, False), pairs_for(60, True)] == ["all", "similar", "video"]


@pytest.fixture
def database(tmp_path) -> Path:
    """Five images, the last without a match, of which two pairs say that nothing moved."""
    path = tmp_path / "a.db"
    pycolmap.set_random_seed(0)
    with closing(pycolmap.Database.open(path)) as database:
        pycolmap.synthesize_dataset(pycolmap.SyntheticDatasetOptions(num_rigs=1, num_frames_per_rig=5, num_points3D=300), database)
        for number in range(1, 5):
            database.delete_two_view_geometry(number, 5)
        for pair in ((1, 2), (3, 4)):
            geometry = database.read_two_view_geometry(*pair)
            geometry.config = pycolmap.TwoViewGeometryConfiguration.WATERMARK
            database.update_two_view_geometry(*pair, geometry)
    return path


def test_a_still_background_is_recognised_by_pairs_in_which_nothing_moves(database):
    assert ladder._is_turntable(database)
    with closing(pycolmap.Database.open(database)) as opened:
        opened.delete_two_view_geometry(1, 2)
        opened.delete_two_view_geometry(3, 4)
    assert not ladder._is_turntable(database)


def test_images_without_a_pose_are_named_with_what_keeps_them(database):
    with closing(pycolmap.Database.open(database)) as opened:
        names = [image.name for image in sorted(opened.read_all_images(), key=lambda image: image.image_id)]
    images = [image(name, blur=0.8 if i == 0 else 0.3) for i, name in enumerate(names)]
    reasons = why_not(images, Outcome("", str(database), "", dict.fromkeys(names[2:3], 100)))
    assert list(reasons) == [names[0], names[1], names[3], names[4]]
    assert reasons[names[0]].startswith("blurred") and "contradicts" in reasons[names[1]]
    assert "overlaps with no posed image" in reasons[names[4]]
    alone = why_not(images, Outcome("", str(database), "", dict.fromkeys(names[4:], 100)))
    assert "matches only images that have no pose either" in alone[names[1]]


def test_nothing_posed_is_explained_by_what_most_images_lack(database):
    with closing(pycolmap.Database.open(database)) as opened:
        names = [image.name for image in opened.read_all_images()]
    outcome = Outcome("", str(database), None, {})
    assert "blurred" in nothing_posed([image(name, blur=0.9) for name in names], [outcome])
    assert "too little parallax" in nothing_posed([image(name) for name in names], [outcome])
    assert "next to no detail" in nothing_posed([image("unknown.jpg")], [outcome])
