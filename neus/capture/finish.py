"""The last step of structure from motion: the best model with the images that count, adjusted, at the size of the images."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from neus.capture.models import adjust, counting, points_of_images, resize, without_others
from neus.files import json_text, write_json


@dataclass(frozen=True)
class FinishJob:
    """What the last step needs.

    Attributes:
        model: folder of the model.
        images: folder of the full images.
        sizes: width and height of each.
        out: a folder for the finished model.
        n_threads: at a time.
    """

    model: str
    images: str
    sizes: dict[str, tuple[int, int]]
    out: str
    n_threads: int = 1

    def as_json(self) -> str:
        """For `finish`."""
        return json_text(asdict(self))


def finish(text: str) -> None:
    """Writes the finished model and `facts.json` beside its files, from the JSON of a `FinishJob`."""
    import pycolmap

    job = FinishJob(**json.loads(text))
    model = pycolmap.Reconstruction(job.model)
    without_others(model, set(counting(points_of_images(model))))
    refined = adjust(model, job.n_threads)
    error = model.compute_mean_reprojection_error()
    resize(model, {name: tuple(size) for name, size in job.sizes.items()})
    model.extract_colors_for_all_images(job.images)
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    model.write_binary(out)
    facts = {
        "reprojection_error": error,
        "n_points": model.num_points3D(),
        "mean_track": model.compute_mean_track_length(),
        "has_principal_points": refined,
        "focal_lengths": sorted({round(camera.mean_focal_length(), 2) for camera in model.cameras.values()}),
    }
    write_json(out / "facts.json", facts)
