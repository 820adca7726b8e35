"""reconstruct the built-in scene on this machine and compare with its exact truth

example: neus demo --out runs/demo
"""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from neus.cli.options import EXIT_INTERRUPTED, Progress, add_device_argument, add_set_argument, whole_number
from neus.errors import InputError

MESH_RESOLUTION = 192
# Tells a folder that an earlier demo made from any other, which is left alone.
MARKER = "made_by_demo.txt"
# Small photographs, a small and short video: all is made on a CPU in minutes.
VIEWS, WIDTH, HEIGHT = 48, 320, 240
ORBIT_FRAMES, ORBIT_SCALE = 16, 0.4
# From the first look at the photographs to the end of training; photographs, mesh, comparison and orbit take another minute.
TRAINING_MINUTES = 2.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `demo`."""
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for everything that is made (default runs/demo)"
    )
    parser.add_argument("--conf", type=Path, help="conf (default confs/demo.conf)")
    add_set_argument(parser)
    parser.add_argument("--seed", type=whole_number(0), default=0)
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Makes scene, model, mesh, orbit and picture; prints the Chamfer distance and, last, the path of the picture."""
    from neus.datasets.images import write_picture
    from neus.datasets.readers import read_scene
    from neus.datasets.synthetic import MILLIMETRES_PER_UNIT, write_synthetic
    from neus.experiment.config import read_config, shipped_conf
    from neus.experiment.demo import DemoResult, Stages, compare_with_truth, comparison_picture
    from neus.experiment.report import report_after_training
    from neus.experiment.run_folder import RunFolder
    from neus.experiment.session import Session
    from neus.experiment.surface import surface_mesh
    from neus.experiment.time_plan import TimePlan
    from neus.experiment.train import train
    from neus.experiment.views import write_frames
    from neus.files import write_json, written_whole
    from neus.meshing.clean import largest_component
    from neus.meshing.files import in_world, write_mesh
    from neus.meshing.measures import mesh_facts
    from neus.rendering.paths import orbit

    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out}: is a file, expected a folder.")
    config = read_config(options.conf or shipped_conf("demo.conf"), options.overrides)
    stages = Stages(print)
    folder = options.out / "scene"
    if options.out.exists() and any(options.out.iterdir()) and not (options.out / MARKER).is_file():
        raise InputError(f"--out {options.out}: holds something else than an earlier demo; choose another folder.")
    with written_whole(options.out / MARKER) as beside:
        beside.write_text(
            "Everything in this folder is made by `neus demo` and replaced by the next one.\n", encoding="utf-8"
        )
    shutil.rmtree(folder, ignore_errors=True)
    stages.begin("scene", f"rendering the built-in scene to {folder}")
    write_synthetic(folder, VIEWS, WIDTH, HEIGHT)
    stages.begin("train", f"training on {folder}")
    run_folder = RunFolder(options.out / "run")
    config = replace(
        config, dataset=replace(config.dataset, data_dir=str(folder)), train=replace(config.train, seed=options.seed)
    )
    session = Session(options.command)
    plan = TimePlan(TRAINING_MINUTES, time.monotonic())
    trainer = train(config, run_folder, overwrite=True, device=options.device, plan=plan, session=session)
    if trainer.stopped:
        return EXIT_INTERRUPTED
    model, scene = trainer.model.eval(), read_scene(folder)
    stages.begin("mesh", "extracting the mesh")
    with Progress("mesh", " blocks") as progress:
        mesh = surface_mesh(model, MESH_RESOLUTION, on_progress=progress)
    shape = mesh_facts(mesh)
    write_mesh(mesh, options.out / "mesh.ply", model.scene_to_world, resolution=MESH_RESOLUTION)
    write_mesh(mesh, run_folder.path / "mesh.ply", model.scene_to_world, resolution=MESH_RESOLUTION)
    stages.begin("compare", "comparing with the exact surface")
    scores = compare_with_truth(in_world(largest_component(mesh), model.scene_to_world), scene)
    stages.begin("picture", "drawing the comparison")
    picture = options.out / "demo.png"
    write_picture(picture, comparison_picture(model, scene))
    stages.begin("orbit", f"rendering {options.out / 'orbit.mp4'}")
    cameras = orbit([scene.camera(v).scaled(ORBIT_SCALE) for v in range(len(scene))], ORBIT_FRAMES)
    with Progress("orbit", " frames") as progress:
        write_frames(model, cameras, ["rgb", "normal"], options.out / "orbit.mp4", progress)
    stages.begin("report", "writing the report")
    session.record["mesh"] = {"iteration": trainer.iteration, "resolution": MESH_RESOLUTION}
    session.record["seconds"]["mesh"] = stages.seconds["mesh"]
    session.save(run_folder.path)
    report = report_after_training(run_folder.path, model, session)
    stages.end()
    result = DemoResult(
        scores.chamfer, MILLIMETRES_PER_UNIT, scores, shape.is_watertight, shape.components, stages.seconds
    )
    write_json(options.out / "demo.json", result.as_dict())
    print(
        f"mesh, orbit and numbers: {options.out / 'mesh.ply'}, {options.out / 'orbit.mp4'}, {options.out / 'demo.json'}"
    )
    print(
        f"Chamfer distance to the exact surface: {result.chamfer_mm:.3f} mm, "
        f"{100 * result.chamfer_mm / result.radius_mm:.2f} % of the scene's radius; seconds: {result.seconds}"
    )
    if report:
        print(f"report: {report}")
    print(picture)
    return 0
