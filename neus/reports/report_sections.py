"""The sections of a run's report."""

import math
from collections.abc import Sequence
from typing import Any

from neus.meshing.measures import MeshFacts
from neus.reports.contact_sheet import SheetView
from neus.reports.curves import Curve, curves_svg
from neus.reports.error_map import FULL_SCALE, scale_bar
from neus.reports.gathered import RunGathered
from neus.reports.page import (
    color_scale,
    details,
    duration,
    figure,
    paragraph,
    section,
    sheet,
    table,
    tiles,
    time_bar,
    warning_list,
)
from neus.runs.config import config_text
from neus.runs.session import FAILED, STOPPED, UNDER_WAY

# Terms of the loss that are drawn beside their sum, if they are ever used.
LOSS_TERMS = {"total": "total", "color": "colour", "mask": "mask"}
# What lies in smaller pieces than the largest, above which that is worth a word.
SCATTERED = 0.01
UNITS = {
    "idr": "units of the cameras file (millimetres for DTU and the built-in scene)",
    "blendedmvs": "units of the data set's cameras; BlendedMVS states no absolute scale",
    "blender": "Blender units",
    "colmap": "units of the COLMAP model; structure from motion knows no absolute scale",
}


def report_sections(run: RunGathered) -> list[str]:
    """The sections of the page, most important first."""
    return [
        warning_list(warnings_of(run)),
        tiles(first_numbers(run)),
        section("Views", *_views(run)),
        section("Mesh", *_mesh(run)),
        section("Curves", curve_charts([("", run.metrics)])),
        section("Where time went", _time(run)),
        section(
            "What was run", table(what_was_run(run)), details("every setting (config.conf)", config_text(run.config))
        ),
    ]


def warnings_of(run: RunGathered) -> list[str]:
    """What was warned of in training, and what the result itself gives cause to say."""
    said = [text for session in run.sessions for text in session.get("warnings", [])]
    last = run.sessions[-1] if run.sessions else {}
    if last.get("state") in (STOPPED, FAILED, UNDER_WAY):
        state = "was killed or is still running" if last["state"] == UNDER_WAY else last["state"]
        said.append(f"The last session {state}; the newest checkpoint is of iteration {run.iteration}.")
    if run.metrics and not math.isfinite(run.metrics[-1].get("total", 0.0)):
        said.append(f"The loss is not finite in iteration {run.metrics[-1]['iteration']}.")
    if not run.facts["held_out_views"]:
        said.append(
            "No view was held out: the views below were trained on and flatter the model (train with --holdout 8)."
        )
    if run.mesh is None:
        said.append(f"There is no mesh to show: {run.no_mesh}.")
        return list(dict.fromkeys(said))
    made_at = last.get("mesh", {}).get("iteration")
    if made_at is not None and made_at != run.iteration:
        said.append(f"mesh.ply is of iteration {made_at}, the newest checkpoint of {run.iteration}.")
    facts = run.mesh.facts
    seen = run.mesh.seen or {}
    if seen.get("unseen") == "cut":
        said.append("The mesh is open where no two views have seen the surface (`--unseen close` closes it).")
    elif not facts.is_watertight:
        said.append("The mesh is not watertight: it has holes or edges of more than two faces, so it has no volume.")
    if facts.largest_fraction < 1.0 - SCATTERED:
        said.append(
            f"The mesh is in {facts.components} pieces; {100 * (1 - facts.largest_fraction):.1f} % of its area is not in the "
            "largest one (`neus mesh --keep largest` drops them)."
        )
    return list(dict.fromkeys(said))


def first_numbers(run: RunGathered) -> list[tuple[str, str]]:
    """Numbers for the tiles at the top: (number, what it is)."""
    numbers = [score_of(run)]
    trained = sum(s.get("seconds", {}).get("training", 0.0) for s in run.sessions)
    numbers.append((f"{run.iteration:,}", "iterations"))
    if trained:
        numbers.append((duration(trained), "of training"))
    if run.mesh:
        facts = run.mesh.facts
        numbers.append((f"{facts.faces:,}", "triangles"))
        numbers.append(("yes" if facts.is_watertight else "no", "watertight"))
    if run.metrics:
        numbers.append((f"{run.metrics[-1].get('sharpness', math.nan):.0f}", "sharpness s at the end"))
    return numbers


def score_of(run: RunGathered) -> tuple[str, str]:
    """The PSNR that says most, and what it was measured on."""
    if run.evaluation:
        mean = run.evaluation["mean"]
        name = "psnr_masked" if "psnr_masked" in mean else "psnr"
        where = " inside the masks" if name == "psnr_masked" else ""
        return f"{mean[name]:.2f} dB", f"PSNR of {_counted(run.evaluation['n_held_out'], 'held-out view')}{where}"
    kind = "held-out" if run.facts["held_out_views"] else "training"
    width = run.views[0].captured.shape[1]
    where = "" if run.views[0].counted.all() else " inside the masks"
    mean = sum(view.psnr for view in run.views) / len(run.views)
    return f"{mean:.2f} dB", f"PSNR of {_counted(len(run.views), f'{kind} view')}{where}, {width} px wide"


def figures_of(view: SheetView, kind: str = "") -> list[str]:
    """Render, normals and error of one view."""
    return [
        figure(view.render, f"render, {view.psnr:.2f} dB", kind),
        figure(view.normals, "normals", kind),
        figure(view.error_image, "error", kind),
    ]


def error_scale() -> str:
    """The scale of the error images, in words and colours."""
    return color_scale(
        scale_bar(),
        "error, mean |render − image| of the channels: 0",
        f"{FULL_SCALE:g} of the full range ({round(FULL_SCALE * 255)} of 255) and more; grey is not counted",
    ) + paragraph("Normals in the camera's axes: red points right, green up, blue at the viewer.")


def curve_charts(runs: Sequence[tuple[str, list[dict[str, float]]]]) -> str:
    """Loss, PSNR, sharpness and Eikonal term over the iterations of one run or, by name, of several."""

    def curves(key: str, name: str = "") -> list[Curve]:
        return [
            Curve(run or name, [m["iteration"] for m in lines if key in m], [m[key] for m in lines if key in m])
            for run, lines in runs
        ]

    losses = curves("total")
    if len(runs) == 1:
        used = {k: n for k, n in LOSS_TERMS.items() if any(m.get(k) for m in runs[0][1])}
        losses = [curve for key, name in used.items() for curve in curves(key, name)]
    charts = [
        curves_svg("Loss", "log scale", losses, is_log=True),
        curves_svg("PSNR of the training rays", "dB", curves("psnr")),
        curves_svg("Sharpness s", "1 / scene unit, log scale", curves("sharpness"), is_log=True),
        curves_svg("Eikonal term", "mean (|∇f| − 1)², log scale", curves("eikonal"), is_log=True),
    ]
    remark = paragraph("Thin: as recorded, from single batches. Thick: running median.")
    return f'<div class="charts">{"".join(charts)}</div>{remark}'


def mesh_rows(facts: MeshFacts, seen: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """Measures of a mesh, in world units, and how much of it the views have seen, if that is known."""
    volume = "none: the mesh is open" if facts.volume is None else f"{facts.volume:.5g} cubic world units"
    pieces = f"{facts.components:,}" + (
        "" if facts.components == 1 else f", the largest with {100 * facts.largest_fraction:.2f} % of the area"
    )
    return [
        ("vertices", f"{facts.vertices:,}"),
        ("faces", f"{facts.faces:,}"),
        ("components", pieces),
        ("watertight", "yes" if facts.is_watertight else "no"),
        ("volume", volume),
        ("area", f"{facts.area:.5g} square world units"),
        ("size", " × ".join(f"{side:.5g}" for side in facts.size) + " world units along the world's axes"),
        *_seen_rows(seen or {}),
    ]


def _seen_rows(seen: dict[str, Any]) -> list[tuple[str, str]]:
    if "fraction_seen" not in seen:
        return []
    rest = {"cut": "the rest is cut off", "keep": "the rest is kept", "close": "the rest is closed over"}
    percent = {name: f"{100 * value:.1f} %" for name, value in seen.items() if name.startswith("fraction")}
    return [
        ("seen by two views", f"{percent['fraction_seen']} of the surface found; {rest.get(seen.get('unseen', ''), '')}"),
        ("resting on two or three views", percent.get("fraction_seen_by_few", "?")),
        ("seen by one view, by none", f"{percent.get('fraction_seen_by_one', '?')}, {percent.get('fraction_unseen', '?')}"),
    ]


def _agreement_rows(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """How far the mesh is from where held-out images agree best, if `neus evaluate` has measured it."""
    dense = evaluation.get("dense", {})
    if dense.get("offset_px") is None:
        return []
    offset = f"{dense['offset_px']:.2f} px ({dense['offset']:.3g} world units) median, {dense['offset_px_90']:.2f} px 90 % quantile"
    return [
        ("offset at which held-out images agree best", f"{offset}; on {100 * dense['covered']:.0f} % of the object"),
        ("held-out images that disagree (NCC < 0.5)", f"{100 * dense['disagreeing']:.1f} % of the pixels"),
    ]


def what_was_run(run: RunGathered) -> list[tuple[str, str]]:
    """Scene, settings, machine and commands."""
    facts, last = run.facts, run.sessions[-1] if run.sessions else {}
    held_out = facts["held_out_views"]
    versions = last.get("versions") or {k: v for k, v in facts.get("versions", {}).items() if k != "machine"}
    rows = [
        ("scene", f"{facts['scene']} ({facts.get('format', '?')})"),
        (
            "views",
            f"{facts.get('n_views', '?')}, {len(held_out)} of them held out" + (f": {held_out}" if held_out else ""),
        ),
        ("surface", f"{run.config.model.surface}, mask weight {run.config.train.mask_weight:g}"),
        ("seed", str(facts.get("seed", run.config.train.seed))),
        ("device", last.get("device", "not recorded")),
        ("machine", last.get("machine", facts.get("versions", {}).get("machine", "not recorded"))),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    commands = [
        (f"command {i + 1}" if len(run.sessions) > 1 else "command", _told(s)) for i, s in enumerate(run.sessions)
    ]
    return rows + (commands or [("command", "not recorded")])


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _told(session: dict[str, Any]) -> str:
    span = f"iterations {session.get('from_iteration', '?')} to {session.get('iteration', '?')}"
    return f"{session.get('command') or 'called from Python'} — {span}, {session.get('state', '?')}"


def _views(run: RunGathered) -> list[str]:
    kind = "Held out of training." if run.facts["held_out_views"] else "Trained on."
    rows = [paragraph(f"{kind} Images averaged down to {run.views[0].captured.shape[1]} pixels across.")]
    for view in run.views:
        captured = figure(view.captured, f"view {view.view} ({view.name})")
        rows.append(sheet([captured, *figures_of(view)]))
    return [*rows, error_scale()]


def _mesh(run: RunGathered) -> list[str]:
    if run.mesh is None:
        return [paragraph(f"None: {run.no_mesh}.")]
    unit = UNITS.get(run.facts.get("format", ""), "units of the data set")
    return [
        sheet([figure(rendered, side) for side, rendered in run.mesh.sides.items()], "six"),
        paragraph("The front is where most cameras are; red is the inside, seen through a hole."),
        table([*mesh_rows(run.mesh.facts, run.mesh.seen), *_agreement_rows(run.evaluation or {})]),
        paragraph(
            f"From {run.mesh.origin}. World units are {unit}. The region of interest has a radius of one scene unit, "
            f"{run.world_per_scene:.5g} world units."
        ),
    ]


def _time(run: RunGathered) -> str:
    if not run.sessions:
        return paragraph("Not recorded: this run was made before sessions were noted.")
    seconds: dict[str, float] = {}
    for session in run.sessions:
        for name, spent in session.get("seconds", {}).items():
            seconds[name] = seconds.get(name, 0.0) + spent
    several = paragraph(f"Of {len(run.sessions)} sessions together.") if len(run.sessions) > 1 else ""
    return time_bar(seconds | {"this report": run.seconds}) + several
