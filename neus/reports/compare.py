"""Two runs of one scene side by side on one page."""

from pathlib import Path
from typing import Any

import numpy as np

from neus.errors import InputError
from neus.files import written_whole
from neus.rendering.modes import renderer_for
from neus.reports.contact_sheet import SheetView, sheet_of
from neus.reports.error_map import color_error, error_image
from neus.reports.gathered import RunGathered
from neus.reports.page import duration, figure, page, paragraph, section, sheet, table
from neus.reports.report import gathered, onlooker
from neus.reports.report_sections import curve_charts, error_scale, figures_of, mesh_rows
from neus.reports.six_sides import six_sides, upright_extent
from neus.runs.config import config_as_dict
from neus.runs.run import Run
from neus.runs.run_folder import RunFolder
from neus.scenes.scene import Scene


def write_comparison(
    run_a: Path, run_b: Path, out: Path, seconds: float, data: Path | None = None, device: str = "auto"
) -> Path:
    """Writes a page that shows two runs of one scene side by side, and returns its path.

    Args:
        run_a, run_b: run folders.
        out: the page.
        seconds: for the images of each run.
        data: the scene's folder, if it has moved.
        device: as `--device`.

    Raises:
        InputError: one of them is no run, their scenes differ, or the page cannot be written.
    """
    folders = (run_a, run_b)
    if run_a.resolve() == run_b.resolve():
        raise InputError(f"{run_a} and {run_b}: both are the same run; give two different ones.")
    for folder in folders:
        RunFolder(folder).latest_checkpoint()
        RunFolder(folder).facts()
    opened = [Run(folder, data) for folder in folders]
    models, scenes = zip(*(run.model_and_scene(device) for run in opened))
    check_same_images(folders, scenes)
    runs = [gathered(run, model, scene, seconds) for run, model, scene in zip(opened, models, scenes)]
    masked = all(run.config.train.mask_weight > 0 for run in runs)
    views = common_views(*runs)
    width = min(run.views[0].captured.shape[1] for run in runs)
    sheets = [sheet_of(renderer_for(model), scene, views, width, masked) for model, scene in zip(models, scenes)]
    names = short_names(folders)
    sections = [
        table([_psnr_row(*sheets), *comparison_rows(*runs)], ("", f"A: {names[0]}", f"B: {names[1]}")),
        section("Views", *(_view(a, b) for a, b in zip(*sheets)), error_scale()),
        section("Meshes", *_meshes(runs, scenes[0])),
        section("Curves", curve_charts([("A", runs[0].metrics), ("B", runs[1].metrics)])),
        section("Settings that differ", _settings(runs)),
    ]
    with written_whole(out) as beside:
        beside.write_text(page(f"{names[0]} and {names[1]}", "NeuS training runs A and B", sections), encoding="utf-8")
    return out


def check_same_images(folders: tuple[Path, Path], scenes: list[Scene]) -> None:
    """InputError unless both scenes are the same images; frames and regions of interest may differ."""
    a, b = scenes
    if a.names != b.names:
        difference = f"{len(a)} and {len(b)} views" if len(a) != len(b) else "other names of views"
    elif not np.array_equal(a.images[0], b.images[0]):
        difference = f"another image {a.names[0]}"
    else:
        return
    raise InputError(
        f"{folders[0]} and {folders[1]}: of different scenes ({a.source} and {b.source}: {difference}); "
        "compare two runs of one scene."
    )


def common_views(a: RunGathered, b: RunGathered) -> list[int]:
    """Views to show of both: those that both held out, else that one did, else any."""
    both = set(a.facts["held_out_views"]) & set(b.facts["held_out_views"])
    shown = [view.view for view in a.views]
    held_out = [view for view in shown if view in both] or sorted(both)[: len(shown)]
    return held_out or shown


def short_names(folders: tuple[Path, Path]) -> tuple[str, str]:
    """The folders' own names, with their parents' if those are alike.

    >>> short_names((Path("/runs/one/run"), Path("/runs/two/run")))
    ('one/run', 'two/run')
    """
    a, b = (folder.resolve() for folder in folders)
    depth = 1
    while a.parts[-depth:] == b.parts[-depth:]:
        depth += 1
    return "/".join(a.parts[-depth:]), "/".join(b.parts[-depth:])


def comparison_rows(a: RunGathered, b: RunGathered) -> list[tuple[str, str, str]]:
    """Numbers of both runs: (what, of A, of B)."""
    rows = []
    means = [run.evaluation["mean"] if run.evaluation else {} for run in (a, b)]
    for name in dict.fromkeys([*means[0], *means[1]]):
        rows.append(
            (f"evaluation: {name}", *(f"{mean[name]:.4g}" if name in mean else "not measured" for mean in means))
        )
    rows.append(("iterations", f"{a.iteration:,}", f"{b.iteration:,}"))
    rows.append(("training time", *map(_training_time, (a, b))))
    measures = [dict(mesh_rows(run.mesh.facts, run.mesh.seen)) if run.mesh else {} for run in (a, b)]
    for name in measures[0] or measures[1]:
        rows.append((f"mesh: {name}", *(of.get(name, "not known" if of else "no mesh") for of in measures)))
    return rows


def settings_that_differ(a: dict[str, Any], b: dict[str, Any], within: str = "") -> list[tuple[str, str, str]]:
    """Settings of two configs that are not alike, by their whole names.

    >>> settings_that_differ({"train": {"seed": 0, "end_iter": 5}}, {"train": {"seed": 1, "end_iter": 5}})
    [('train.seed', '0', '1')]
    """
    rows = []
    for key in dict.fromkeys([*a, *b]):
        one, other = a.get(key, "not there"), b.get(key, "not there")
        if isinstance(one, dict) and isinstance(other, dict):
            rows += settings_that_differ(one, other, f"{within}{key}.")
        elif one != other:
            rows.append((f"{within}{key}", str(one), str(other)))
    return rows


def _psnr_row(a: list[SheetView], b: list[SheetView]) -> tuple[str, str, str]:
    what = f"PSNR of the {len(a)} views below" if len(a) > 1 else "PSNR of the view below"
    return what, *(f"{np.mean([view.psnr for view in views]):.2f} dB" for views in (a, b))


def _settings(runs: list[RunGathered]) -> str:
    rows = settings_that_differ(*(config_as_dict(run.config) for run in runs))
    return table(rows, ("", "A", "B")) if rows else paragraph("None.")


def _training_time(run: RunGathered) -> str:
    seconds = sum(s.get("seconds", {}).get("training", 0.0) for s in run.sessions)
    return duration(seconds) if seconds else "not recorded"


def _view(a: SheetView, b: SheetView) -> str:
    first = figure(a.captured, f"view {a.view} ({a.name})", "a")
    between = error_image(color_error(a.render, b.render))
    second = figure(between, "difference of the two renders, same scale", "a")
    of_a = [part.replace("<figcaption>", "<figcaption>A: ") for part in figures_of(a, "b")]
    of_b = [part.replace("<figcaption>", "<figcaption>B: ") for part in figures_of(b, "b")]
    return sheet([first, *of_a, second, *of_b])


def _meshes(runs: list[RunGathered], scene: Scene) -> list[str]:
    """Both meshes from six sides, at the same scale, if both are there; else the one that is."""
    if not all(run.mesh for run in runs):
        parts = [
            sheet([figure(rendered, f"{name}: {side}") for side, rendered in run.mesh.sides.items()], "six")
            if run.mesh
            else paragraph(f"{name}: {run.no_mesh}.")
            for name, run in zip("AB", runs)
        ]
        return parts
    meshes, seen_from = [run.mesh.mesh for run in runs], onlooker(scene)
    corners = np.concatenate([upright_extent(mesh, *seen_from) for mesh in meshes])
    return [
        sheet([figure(rendered, f"{name}: {side}") for side, rendered in drawn.items()], "six")
        for name, drawn in ((n, six_sides(mesh, *seen_from, extent=corners)) for n, mesh in zip("AB", meshes))
    ] + [paragraph("Both at one scale; red is the inside, seen through a hole.")]
