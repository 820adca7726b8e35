"""One step of structure from motion by pycolmap, as a process of its own: `python -m neus.capture.colmap_step STEP JOB.json`.

COLMAP ends its whole process where it finds a contradiction (glog's FATAL), so it never runs in the one that a user looks at.
The mapping prints lines `progress DONE TOTAL`; of other steps the database tells how far they are (`database.n_done`). Features and
matches are kept there, so a step that was killed goes on where it was.
"""

import json
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from neus.capture.finish import finish
from neus.files import json_text
from neus.processes import end_with_parent

# The scene's own vocabulary: words, descriptors from each image, rounds of k-means; a second of work for fifty images.
N_WORDS, DESCRIPTORS_PER_IMAGE, N_ITERATIONS, N_ROUNDS = 1024, 400, 5, 1
DESCRIPTOR_SIZE, EMBEDDED_SIZE = 128, 64
# Each image is matched with so many that the vocabulary finds similar, and each frame of a video with so many neighbours.
N_SIMILAR, N_NEIGHBOURS, N_LOOPS = 20, 10, 10

# Of a lenient mapping; COLMAP's own are 16 degrees, 30 matches and 0.25.
NARROW_TRIANGLE, FEW_INLIERS, LOW_INLIER_RATIO = 4.0, 15, 0.15


@dataclass(frozen=True)
class Group:
    """Images of one camera: their names, their size in pixels, and its focal length, None where it is only guessed."""

    names: list[str]
    width: int
    height: int
    focal: float | None


@dataclass(frozen=True)
class Job:
    """What the steps of one attempt need.

    Attributes:
        images: folder of the copies that features are found on.
        database: COLMAP's database.
        models: folder of the models.
        groups: cameras with their images.
        pairs: `all`, `similar` or `video`.
        max_features, first_octave: of SIFT; octave -1 doubles the image's size first.
        filter_stationary: leave out matches that stay where they are, as those of the still background of a turntable.
        is_lenient: begin from a narrow angle, take poses that few matches support and points that only two images see: for sets with
            little overlap. Such poses agreed with those of more features to 0.4 degrees.
        is_global: all poses at once (GLOMAP) rather than one after the other; changes the database.
        max_seconds: for the mapping, -1 for no limit.
        seed: of everything random.
        n_threads: of features and matches; mapping takes one, so that the same seed gives the same model.
    """

    images: str
    database: str
    models: str
    groups: list[Group]
    pairs: str
    max_features: int
    first_octave: int
    filter_stationary: bool = False
    is_lenient: bool = False
    is_global: bool = False
    max_seconds: int = -1
    seed: int = 0
    n_threads: int = 1

    def as_json(self) -> str:
        """For `job_from`."""
        return json_text(asdict(self), indent=1)


def job_from(text: str) -> Job:
    """The job that `as_json` wrote."""
    content = json.loads(text)
    return Job(**content | {"groups": [Group(**group) for group in content["groups"]]})


def names_of(job: Job) -> list[str]:
    """All images, group by group."""
    return [name for group in job.groups for name in group.names]


def n_expected(step: str, job: Job) -> int:
    """About how many rows a step leaves in the database: images with features, or pairs."""
    n_images = len(names_of(job))
    if step == "extract":
        return n_images
    return {"all": n_images * (n_images - 1) // 2, "similar": n_images * N_SIMILAR, "video": n_images * (N_NEIGHBOURS + N_LOOPS)}[job.pairs]


def extract(job: Job) -> None:
    """Features of all images that have none yet, into the database, which has the cameras and images in the order of the job."""
    import pycolmap

    _register(job)
    options = pycolmap.FeatureExtractionOptions()
    options.num_threads = job.n_threads
    options.sift.max_num_features, options.sift.first_octave = job.max_features, job.first_octave
    pycolmap.extract_features(job.database, job.images, image_names=names_of(job), extraction_options=options)


def _register(job: Job) -> None:
    """Cameras, their images, and rigs of one camera, unless the database has them."""
    import pycolmap

    with closing(pycolmap.Database.open(job.database)) as database:
        if database.num_images() > 0:
            return
        with pycolmap.DatabaseTransaction(database):
            for group in job.groups:
                focal = group.focal or pycolmap.ImageReaderOptions().default_focal_length_factor * max(group.width, group.height)
                camera = pycolmap.Camera.create_from_model_name(0, "SIMPLE_RADIAL", focal, group.width, group.height)
                camera.has_prior_focal_length = group.focal is not None
                camera.camera_id = database.write_camera(camera)
                rig = pycolmap.Rig()
                rig.add_ref_sensor(camera.sensor_id)
                rig_id = database.write_rig(rig)
                for name in group.names:
                    image = pycolmap.Image(name=name, camera_id=camera.camera_id)
                    image.image_id = database.write_image(image)
                    frame = pycolmap.Frame()
                    frame.rig_id = rig_id
                    frame.add_data_id(image.data_id)
                    database.write_frame(frame)


def match(job: Job) -> None:
    """Matches of the job's pairs, and the epipolar geometry that verifies them, into the database."""
    import pycolmap

    common = {"matching_options": pycolmap.FeatureMatchingOptions(), "verification_options": _verification(job)}
    common["matching_options"].num_threads = job.n_threads
    if job.pairs == "all":
        pycolmap.match_exhaustive(job.database, **common)
        return
    if job.pairs == "video":
        options = pycolmap.SequentialPairingOptions()
        options.overlap, options.num_threads = N_NEIGHBOURS, job.n_threads
        pycolmap.match_sequential(job.database, pairing_options=options, **common)
    options = pycolmap.VocabTreePairingOptions()
    options.num_images, options.num_threads = (N_LOOPS if job.pairs == "video" else N_SIMILAR), job.n_threads
    options.vocab_tree_path = str(_vocabulary(job))
    pycolmap.match_vocabtree(job.database, pairing_options=options, **common)


def verify(job: Job) -> None:
    """The matches that are there verified anew, by the job's options."""
    import pycolmap

    with closing(pycolmap.Database.open(job.database)) as database:
        database.clear_two_view_geometries()
    options = pycolmap.GeometricVerifierOptions()
    options.num_threads = job.n_threads
    pycolmap.geometric_verification(job.database, verifier_options=options, two_view_geometry_options=_verification(job))


def _verification(job: Job):  # noqa: ANN202
    import pycolmap

    options = pycolmap.TwoViewGeometryOptions()
    options.filter_stationary_matches = job.filter_stationary
    options.ransac.random_seed = job.seed
    return options


def _vocabulary(job: Job) -> Path:
    """A visual vocabulary of the images themselves: COLMAP's own would have to be downloaded."""
    import numpy as np
    import pycolmap

    path, generator, chosen = Path(job.database).with_suffix(".words"), np.random.default_rng(job.seed), []
    with closing(pycolmap.Database.open(job.database)) as database:
        for image in database.read_all_images():
            found = database.read_descriptors(image.image_id)
            rows = np.asarray(found.data)
            chosen.append(rows[generator.permutation(len(rows))[:DESCRIPTORS_PER_IMAGE]])
            kind = found.type
    options = pycolmap.VisualIndex.BuildOptions()
    n_descriptors = sum(map(len, chosen))
    options.num_visual_words = max(1, min(N_WORDS, n_descriptors // 40))  # faiss asks for some tens of samples for each word
    options.num_iterations, options.num_rounds, options.num_threads = N_ITERATIONS, N_ROUNDS, job.n_threads
    index = pycolmap.VisualIndex.create(DESCRIPTOR_SIZE, EMBEDDED_SIZE)
    index.build(options, pycolmap.FeatureDescriptors(type=kind, data=np.concatenate(chosen)).to_float())
    index.write(str(path))
    return path


def map_images(job: Job) -> None:
    """Models of the images, one folder each below the job's folder of models."""
    import pycolmap

    Path(job.models).mkdir(parents=True, exist_ok=True)
    n_images = len(names_of(job))
    if job.is_global:
        pycolmap.calibrate_view_graph(job.database)
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads, options.random_seed = 1, job.seed
        pycolmap.global_mapping(job.database, job.images, job.models, options=options)
        return
    n_registered = 0

    def one_more() -> None:
        nonlocal n_registered
        n_registered = min(n_registered + 1, n_images)
        print(f"progress {n_registered} {n_images}", flush=True)

    pycolmap.incremental_mapping(
        job.database, job.images, job.models, options=_mapping_options(job), next_image_callback=one_more
    )


def _mapping_options(job: Job):  # noqa: ANN202
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed, options.mapper.random_seed = 1, job.seed, job.seed
    options.triangulation.random_seed = job.seed
    options.max_runtime_seconds = job.max_seconds
    if job.is_lenient:
        options.mapper.init_min_tri_angle = NARROW_TRIANGLE
        options.mapper.abs_pose_min_num_inliers, options.mapper.abs_pose_min_inlier_ratio = FEW_INLIERS, LOW_INLIER_RATIO
        options.triangulation.ignore_two_view_tracks = False
    # Ten by default: sets of nine are posed as well.
    options.min_model_size = min(options.min_model_size, max(3, len(names_of(job)) // 2))
    options.extract_colors = False  # of the copies, which are grey; taken from the images at the end
    return options


STEPS: dict[str, Callable[[str], None]] = {
    "extract": lambda text: extract(job_from(text)),
    "match": lambda text: match(job_from(text)),
    "verify": lambda text: verify(job_from(text)),
    "map": lambda text: map_images(job_from(text)),
    "finish": finish,
}


def main(arguments: list[str]) -> int:
    """Runs one step of one job; its exit status."""
    step, job = arguments
    import pycolmap

    pycolmap.logging.minloglevel = 1  # warnings and worse
    STEPS[step](Path(job).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
