"""Models of COLMAP's: which images count, at which size, and what the last adjustment finds; on exact synthetic data."""

from contextlib import closing

import numpy as np
import pycolmap
import pytest

from neus.capture.colmap_step import Group, Job, job_from, n_expected
from neus.capture.database import feature_counts, n_done, verified_pairs
from neus.capture.finish import FinishJob
from neus.capture.models import adjust, best_model, counting, points_of_images, resize, without_others
from neus.capture.steps import StepFailed, run_step


@pytest.fixture
def model():
    """Six views of a camera, whose points project exactly."""
    pycolmap.set_random_seed(0)
    options = pycolmap.SyntheticDatasetOptions(num_rigs=1, num_frames_per_rig=24, num_points3D=150)
    options.camera_params = [1280.0, 530.0, 375.0, 0.05]
    return pycolmap.synthesize_dataset(options)


def test_images_with_few_points_do_not_count_and_lose_their_pose(model):
    victim = sorted(model.images)[0]
    for index in list(model.images[victim].get_observation_point2D_idxs())[20:]:
        model.delete_observation(victim, index)
    n_points = points_of_images(model)
    name = model.images[victim].name
    assert n_points[name] == 20 and name not in counting(n_points) and len(counting(n_points)) == 23
    without_others(model, set(counting(n_points)))
    assert model.num_reg_images() == 23 and not model.images[victim].has_pose


def test_points_that_only_two_images_see_do_not_make_an_image_count(model):
    victim = sorted(model.images)[0]
    for point in list(model.points3D.values()):
        track = [(element.image_id, element.point2D_idx) for element in point.track.elements]
        others = [element for element in track if element[0] != victim]
        for element in others[1:]:
            model.delete_observation(*element)
    assert model.images[victim].num_points3D > 100
    assert points_of_images(model)[model.images[victim].name] == 0


def test_the_model_with_most_counting_images_is_best_wherever_it_stands(model, tmp_path):
    few = pycolmap.Reconstruction(model)
    without_others(few, set(sorted(points_of_images(few))[:2]))
    for number, made in enumerate((few, model)):
        (tmp_path / str(number)).mkdir()
        made.write(tmp_path / str(number))
    best, n_points = best_model(tmp_path)
    assert best == tmp_path / "1" and len(n_points) == 24
    assert best_model(tmp_path / "none") == (None, {})


def test_a_model_at_another_size_projects_the_same(model):
    before = {number: [point.xy.copy() for point in image.points2D] for number, image in model.images.items()}
    sizes = {image.name: (4096, 3072) for image in model.images.values()}
    resize(model, sizes)
    (camera,) = model.cameras.values()
    assert (camera.width, camera.height) == (4096, 3072) and camera.mean_focal_length() == pytest.approx(5120.0)
    for number, image in model.images.items():
        for point, old in zip(image.points2D, before[number], strict=True):
            assert np.allclose(point.xy, 4.0 * old)
            if point.has_point3D():
                assert np.allclose(image.project_point(model.points3D[point.point3D_id].xyz), point.xy, atol=1e-6)


def with_noise(model, pixels: float) -> None:
    """Moves all keypoints at random by about so many pixels."""
    generator = np.random.default_rng(0)
    for _, image in sorted(model.images.items()):
        for point in image.points2D:
            point.xy = point.xy + pixels * generator.normal(size=2)


def test_the_principal_point_is_found_where_the_points_tell_it(model):
    with_noise(model, 0.2)
    (camera,) = model.cameras.values()
    camera.params = [1290.0, 512.0, 384.0, 0.04]
    assert adjust(model, 1)
    (camera,) = model.cameras.values()
    assert camera.params[:3] == pytest.approx([1280.0, 530.0, 375.0], abs=1.0)


@pytest.mark.parametrize(("n_views", "noise"), [(4, 0.2), (24, 60.0)])
def test_the_principal_point_is_left_in_the_middle_with_few_views_or_much_noise(model, n_views, noise):
    without_others(model, set(sorted(points_of_images(model))[:n_views]))
    with_noise(model, noise)
    (camera,) = model.cameras.values()
    camera.params = [1280.0, 512.0, 384.0, 0.05]
    assert not adjust(model, 1)
    (camera,) = model.cameras.values()
    assert camera.params[1:3].tolist() == [512.0, 384.0]


def test_a_database_tells_features_and_pairs(tmp_path):
    path = tmp_path / "a.db"
    pycolmap.set_random_seed(0)
    with closing(pycolmap.Database.open(path)) as database:
        options = pycolmap.SyntheticDatasetOptions(num_rigs=1, num_frames_per_rig=4, num_points3D=80)
        pycolmap.synthesize_dataset(options, database)
        names = {image.image_id: image.name for image in database.read_all_images()}
        geometry = database.read_two_view_geometry(1, 2)
        geometry.config = pycolmap.TwoViewGeometryConfiguration.WATERMARK
        database.update_two_view_geometry(1, 2, geometry)
        counts = {names[number]: database.num_keypoints_for_image(number) for number in names}
    assert feature_counts(path) == counts
    pairs = verified_pairs(path)
    assert len(pairs) == 6 == n_done("match", path)
    assert [(pair.first, pair.second) for pair in pairs if pair.is_watermark] == [(names[1], names[2])]
    assert n_done("extract", path) == 4 and n_done("match", tmp_path / "none.db") == 0


def test_a_job_survives_its_way_through_json():
    job = Job("i", "d", "m", [Group(["a", "b"], 4, 3, None), Group(["c"], 4, 3, 2.5)], "all", 10, 0, seed=3)
    assert job_from(job.as_json()) == job and n_expected("match", job) == 3 and n_expected("extract", job) == 3


def test_a_step_that_fails_says_why_in_one_line(tmp_path):
    job = FinishJob(str(tmp_path / "no model"), str(tmp_path), {}, str(tmp_path / "out"))
    with pytest.raises(StepFailed) as error:
        run_step("finish", job.as_json(), tmp_path / "job")
    assert "no model" in str(error.value) and "\n" not in str(error.value)
