"""Time of each stage that leads from images to the first shape of a scene.

python benchmarks/first_shape.py FOLDER [--side 320] [--no-masks]
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from neus.kernels.threads import n_threads
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import render_scene
from neus.stereo.depth_maps import depth_maps, open_spans
from neus.stereo.stereo_views import stereo_views

Result = TypeVar("Result")


def timed(stage: str, work: Callable[[], Result]) -> Result:
    """What the work returns; its time is printed."""
    start, start_busy = time.perf_counter(), time.process_time()
    result = work()
    seconds, busy = time.perf_counter() - start, time.process_time() - start_busy
    print(f"{stage:<12} {seconds:7.2f} s   {busy:7.2f} s of all cores", flush=True)
    return result


def main() -> None:
    """Prints one line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="a scene; without it the built-in one")
    parser.add_argument("--side", type=int, default=320, help="longest side of the images that are matched")
    parser.add_argument("--no-masks", action="store_true", help="leave the scene's masks out")
    options = parser.parse_args()
    scene = timed("read", lambda: read_scene(Path(options.folder)) if options.folder else render_scene())
    if options.no_masks:
        scene = dataclasses.replace(scene, masks=None)
    print(f"{len(scene)} views, {n_threads()} threads")
    views = timed("reduce", lambda: stereo_views(scene, options.side))
    maps = timed("depth maps", lambda: depth_maps(views, open_spans(views)))
    known = [np.isfinite(found.depths)[slice(None) if view.mask is None else view.mask].mean()
             for view, found in zip(views, maps, strict=True)]  # fmt: skip
    print(f"depths known at {np.mean(known):.1%} of the pixels{'' if scene.masks is None else ' of the masks'}")


if __name__ == "__main__":
    main()
