"""Time of each stage of a scene's initial shape: depth maps, their fusion, the sweeps of the surface, its points.

python benchmarks/initial_shape.py [FOLDER] [--no-masks]
"""

import argparse
import dataclasses
import time
from pathlib import Path

from neus.kernels.threads import n_threads
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import render_scene
from neus.stereo.initial_shape import initial_shape


def main() -> None:
    """Prints one line for each stage, then all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="Scene folder; without it the built-in scene")
    parser.add_argument("--no-masks", action="store_true", help="Leave the scene's masks out")
    options = parser.parse_args()
    scene = read_scene(Path(options.folder)) if options.folder else render_scene()
    if options.no_masks:
        scene = dataclasses.replace(scene, masks=None, alphas=None)
    initial_shape(scene.subset([0, 1, 2]), resolution=16, rounds=())  # compiles the kernels
    print(f"{len(scene)} views, {n_threads()} threads")
    started, busy = time.perf_counter(), time.process_time()
    initial_shape(scene, print)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    print(f"initial shape: {seconds:.1f} s, {busy:.1f} s of all cores")


if __name__ == "__main__":
    main()
