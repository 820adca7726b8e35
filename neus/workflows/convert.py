"""A scene of any layout that can be read, written in the layout of another program."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from neus.errors import InputError, InputWarning, RegionError
from neus.files import check_can_write
from neus.geometry.similarity import scale_of, similarity
from neus.runs.console import QUIET, Console
from neus.runs.load import SECONDS_WITHOUT_BAR
from neus.scenes.downscale import AUTO
from neus.scenes.idr import FROM_CAMERA_FILE
from neus.scenes.image_writer import ImageWriter
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.scene import Scene
from neus.scenes.writers import check_is_new, save_scene
from neus.stereo.region_from_matches import read_located_scene

# What users call the layouts, and what `save_scene` calls them.
TARGETS = {"colmap": "colmap", "nerfstudio": "transforms", "idr": "idr"}


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        folder: of the scene.
        scene: as it was read; its pixels are read on demand.
        n_kept: images that are links to their files, or copies; all others were encoded.
        n_undistorted: images of these others whose lens distortion was taken out.
        has_region: whether the region of interest was given and not found, so that it is worth keeping.
    """

    folder: Path
    scene: Scene
    n_kept: int
    n_undistorted: int
    has_region: bool

    @property
    def lines(self) -> list[str]:
        """What was written, in words."""
        scene, n_views = self.scene, len(self.scene)
        made = n_views - self.n_kept - self.n_undistorted
        counts = [
            (self.n_kept, "kept as their files are"),
            (self.n_undistorted, "undistorted and encoded"),
            (made, "encoded anew"),
        ]
        lines = [f"images: {n_views}; " + ", ".join(f"{count} {what}" for count, what in counts if count)]
        masks = (
            "none" if scene.masks is None else "in the alpha channels of the images" if self._has_alphas else "written"
        )
        lines.append(f"masks: {masks}; sparse points: {0 if scene.points is None else len(scene.points)}")
        if scene.up is not None or scene.metres is not None:
            unit = "unknown" if scene.metres is None else f"{scene.metres:g} m"
            lines.append(
                f"world: up {'unknown' if scene.up is None else list(scene.up)}, one unit is {unit} (world.json)"
            )
        return lines

    @property
    def _has_alphas(self) -> bool:
        return self.scene.alphas is not None and self.n_kept > 0


def convert_scene(
    source: str | Path, out: str | Path, to: str, config: DatasetConfig | None = None, console: Console = QUIET
) -> Converted:
    """Writes a scene in the layout of COLMAP, nerfstudio, or IDR and NeuS; its world stays what it is.

    Images are kept at full size: those without lens distortion become hard links to their files or copies of them, others are undistorted
    and written as PNG, or as JPEG of quality 98 if their names end so. IDR's are PNG in any case. Masks, sparse points, and what is
    known of the world's vertical and unit (world.json) come along.

    Args:
        source: the scene, in any layout that can be read.
        out: a new or empty folder.
        to: one of TARGETS.
        config: how the scene is read; its `downscale` is 1 unless it is set.
        console: what is told meanwhile.

    Raises:
        InputError: an unknown target, a folder with something in it, or what reading and writing find wrong; for `idr` also where no region
            of interest can be found, which that layout needs.
    """
    source, out, config = Path(source), Path(out), config or DatasetConfig()
    if to not in TARGETS:
        raise InputError(f"--to {to}: expected one of {', '.join(TARGETS)}.")
    check_is_new(out)
    check_can_write(out)
    full_size = replace(config, downscale=1 if config.downscale == AUTO else config.downscale)
    scene, has_region = (
        _with_region(source, config, full_size, console) if to == "idr" else _as_given(source, full_size)
    )
    if to == "nerfstudio":
        scene = _unturned(scene)
    writer = ImageWriter(scene, keep_files=True, numbered=to == "idr")
    n_undistorted = sum(
        kept is None and scene.images.store.is_undistorted(scene.images.views[view])
        for view, kept in enumerate(writer.sources)
    )
    save_scene(scene, out, TARGETS[to], keep_files=True, has_region=has_region)
    return Converted(out, scene, writer.n_kept, n_undistorted, has_region)


def _as_given(source: Path, config: DatasetConfig) -> tuple[Scene, bool]:
    """The scene, and whether its region of interest was given; cameras may stand where they like."""
    config = replace(config, camera_outside_sphere=False)
    try:
        scene = read_scene(source, config, lazy=True)
        return scene, scene.region_from in ("", FROM_CAMERA_FILE)
    except RegionError:
        world = replace(config, center=(0.0, 0.0, 0.0), radius=1.0)
        return read_scene(source, world, lazy=True), False


def _with_region(source: Path, config: DatasetConfig, full_size: DatasetConfig, console: Console) -> tuple[Scene, bool]:
    """The scene in its region of interest, looked for as for training where none is given: the layout keeps it for good."""
    with console.bar("reading", " images", delay=SECONDS_WITHOUT_BAR) as progress:
        located = read_located_scene(source, config, progress, console.message)
    if located.format != "idr" and not full_size.box:
        frame = located.scene_to_world
        full_size = replace(full_size, center=tuple(frame[:3, 3].tolist()), radius=scale_of(frame))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # said when it was read before
        return read_scene(source, full_size, lazy=True), True


def _unturned(scene: Scene) -> Scene:
    """The scene with its unit sphere in the same place, its axes those of the world."""
    frame = scene.scene_to_world
    return scene.in_frame(similarity(scale_of(frame), frame[:3, 3].to(torch.float64)), scene.box)
