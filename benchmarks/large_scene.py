"""Reads a scene of generated images of 4000x3000 pixels with masks: seconds and memory for each image.

    python benchmarks/large_scene.py [--images 60] [--distinct 8] [--downscale auto] [--threads 2] [--lazy]

The folder is temporary: COLMAP's layout with JPEGs, PNG masks, and one lens with radial distortion for all images. Only the first images
and masks are written, the others are hard links to them: each is decoded, but the disk has to hold few. A process of its own reads the
scene, so that its peak memory is that of reading alone; what Python and the libraries take before is subtracted. Needs Linux.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import pycolmap  # noqa: E402
import torch  # noqa: E402

from neus.errors import InputWarning  # noqa: E402
from neus.geometry.cameras import Camera  # noqa: E402
from neus.geometry.poses import look_at  # noqa: E402
from neus.runs.console import TERMINAL  # noqa: E402
from neus.runs.load import read_scene_on  # noqa: E402
from neus.scenes.image_writer import write_image  # noqa: E402
from neus.scenes.readers import DatasetConfig, read_scene  # noqa: E402
from neus.scenes.writers import colmap_camera  # noqa: E402

WIDTH, HEIGHT = 4000, 3000
DISTORTION = (-0.05, 0.01)
# Where the cameras stand, and a focal length by which the ball fills the masks, scene units and pixels.
DISTANCE, FOCAL = 3.0, 1.2 * WIDTH
# The ball's radius in the image, in parts of the height, and how much of it masks differ by: equal ones would be no outlines.
RADIUS, VARIATION = 0.35, 0.01


def write_images(folder: Path, n_images: int, n_distinct: int) -> None:
    """A ring of cameras around a textured ball, as COLMAP would leave it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    distance = np.hypot(x - WIDTH / 2, y - HEIGHT / 2) / HEIGHT
    texture = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32), (0, 0), 2
    )
    rendered = ((texture - texture.min()) / np.ptp(texture) * 255).astype(np.uint8)
    model = pycolmap.Reconstruction()
    intrinsics = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]).double()
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    for view in range(n_images):
        angle = torch.tensor(2 * np.pi * view / n_images, dtype=torch.float64)
        pose = look_at(DISTANCE * torch.stack([angle.cos(), angle.sin(), 0.3 + 0 * angle]), torch.zeros(3).double(), up)
        if view == 0:
            camera = colmap_camera(Camera(intrinsics, pose, WIDTH, HEIGHT), "RADIAL", 1, DISTORTION)
            model.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=f"{view:04d}.jpg", camera_id=1, image_id=view + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(torch.linalg.inv(pose)[:3].numpy()))
        files = [folder / "images" / "{:04d}.jpg", folder / "masks" / "{:04d}.jpg.png"]
        first, file = ([Path(str(path).format(number)) for path in files] for number in (view % n_distinct, view))
        if view < n_distinct:
            write_image(file[0], np.roll(rendered, 37 * view, axis=1))
            write_image(file[1], distance < RADIUS + VARIATION * view / n_distinct)
        else:
            for written, link in zip(first, file, strict=True):
                os.link(written, link)
    (folder / "sparse" / "0").mkdir(parents=True)
    model.write_binary(str(folder / "sparse" / "0"))


def reading(folder: Path, config: DatasetConfig, lazy: bool, threads: int) -> dict[str, float | str]:
    """Seconds and bytes of reading, in this process."""
    torch.set_num_threads(threads)
    before, started = _peak(), time.perf_counter()
    scene = read_scene(folder, config, lazy) if lazy else read_scene_on(TERMINAL, folder, config)
    seconds = time.perf_counter() - started
    width, height = scene.sizes[0]
    return {
        "images": len(scene),
        "masks": 0 if scene.masks is None else len(scene.masks),
        "size": f"{width}x{height}",
        "threads": threads,
        "seconds": round(seconds, 2),
        "seconds per image": round(seconds / len(scene), 4),
        "peak MB": round((_peak() - before) / 1e6, 1),
        "peak MB per image": round((_peak() - before) / 1e6 / len(scene), 2),
        "MB of pixels per image": round(4e-6 * width * height, 2),
    }


def _peak() -> float:
    # Not `getrusage`, whose peak begins with that of the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Writes the scene, reads it in another process, and prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--distinct", type=int, default=8, help="of the images, the others are links to them")
    parser.add_argument("--downscale", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--lazy", action="store_true", help="cameras alone")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the scene there, and read nothing")
    parser.add_argument("--folder", type=Path, help="read the scene that was written there")
    options = parser.parse_args()
    warnings.simplefilter("ignore", InputWarning)  # a model without points
    if options.write:
        write_images(options.write, options.images, options.distinct)
        return
    if options.folder:
        config = DatasetConfig(downscale=options.downscale)
        print(json.dumps(reading(options.folder, config, options.lazy, options.threads), indent=1))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.images, options.distinct)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--folder", folder], check=True)


if __name__ == "__main__":
    main()
