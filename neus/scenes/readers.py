"""One door for all layouts: conf section `dataset`, and the reader that a folder asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neus.errors import InputError
from neus.scenes.blendedmvs import read_blendedmvs
from neus.scenes.blender import read_blender
from neus.scenes.colmap import read_colmap
from neus.scenes.idr import read_idr
from neus.scenes.scene import Scene, checked
from neus.settings import at_least, one_of

BUILT_IN = ("auto", "idr", "blendedmvs", "blender", "colmap")
# Registered readers add to these, and to the choices of `dataset.format` with them.
FORMATS = list(BUILT_IN)
BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}


@dataclass(frozen=True)
class DatasetConfig:
    """Conf section `dataset`, with NeuS's keys and a few more.

    Attributes:
        data_dir: the scene's folder.
        render_cameras_name, object_cameras_name: camera files of IDR folders.
        camera_outside_sphere: whether cameras within the object's unit sphere are an error.
        scale_mat_scale: kept for old confs; NeuS reads it and never uses it.
        format: the layout of the folder, `auto` to find out.
        background: colour laid under images with an alpha channel.
        split: which `transforms_*.json` of a Blender scene.
        center: of the region of interest in world units, three numbers, or empty to find it.
        radius: of the region of interest in world units, or 0 to find it.
        holdout: every so many-th view is kept out of training; 0 keeps none out.
    """

    data_dir: str = ""
    render_cameras_name: str = "cameras_sphere.npz"
    object_cameras_name: str = "cameras_sphere.npz"
    camera_outside_sphere: bool = True
    scale_mat_scale: float = at_least(0.0, default=1.1)
    format: str = one_of(FORMATS, default="auto")
    background: str = one_of(tuple(BACKGROUNDS), default="white")
    split: str = "train"
    center: tuple[float, ...] = ()
    radius: float = at_least(0.0, default=0.0)
    holdout: int = at_least(0, default=0)


def read_scene(folder: Path, config: DatasetConfig | None = None) -> Scene:
    """The scene in a folder of any known layout.

    Args:
        folder: IDR/NeuS, raw BlendedMVS, Blender or COLMAP.
        config: camera files, background, region of interest.

    Raises:
        InputError: no such folder, no known layout, or what the reader finds wrong.
    """
    config, folder = config or DatasetConfig(), Path(folder)
    layout = layout_of(folder, config) if config.format == "auto" else config.format
    if config.center and len(config.center) != 3:
        raise InputError(f"dataset.center: {list(config.center)}, expected three numbers x, y, z in world units.")
    if bool(config.center) != bool(config.radius):
        raise InputError("dataset.center and dataset.radius belong together; give both, or neither to have them found.")
    if layout in _REGISTERED:
        return checked(_REGISTERED[layout][0](folder, config), not config.camera_outside_sphere)
    region = (config.center or None, config.radius or None)
    allow_inside = not config.camera_outside_sphere
    if layout == "idr":
        if config.center:
            raise InputError("dataset.center: IDR scenes carry their region of interest in scale_mat_i; leave it out.")
        return read_idr(folder, config.render_cameras_name, config.object_cameras_name, allow_inside)
    if layout == "blendedmvs":
        return read_blendedmvs(folder, *region, allow_inside=allow_inside)
    if layout == "blender":
        color = BACKGROUNDS[config.background]
        return read_blender(folder, config.split, color, center=region[0], scale=region[1], allow_inside=allow_inside)
    return read_colmap(folder, *region, allow_inside=allow_inside)


def layout_of(folder: Path, config: DatasetConfig) -> str:
    """The name of the layout of a folder, by the files that only it has.

    Raises:
        InputError: no such folder, or none of the known layouts.
    """
    for name, (_, detect) in _REGISTERED.items():
        if folder.exists() and detect is not None and detect(folder):
            return name
    if folder.is_file() and folder.suffix == ".json":
        return "blender"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene (IDR/NeuS, BlendedMVS, Blender or COLMAP).")
    if (folder / config.render_cameras_name).exists():
        return "idr"
    if (folder / "cams").is_dir() and (folder / "blended_images").is_dir():
        return "blendedmvs"
    if any(folder.glob("transforms*.json")):
        return "blender"
    if any(
        (folder / place / f"cameras{end}").is_file()
        for place in ("sparse/0", "sparse", ".")
        for end in (".bin", ".txt")
    ):
        return "colmap"
    raise InputError(
        f"{folder}: no known layout; expected {config.render_cameras_name} (IDR/NeuS), cams/ and blended_images/ (BlendedMVS), "
        "transforms_*.json (Blender) or sparse/0/cameras.bin (COLMAP)."
    )


Reader = Callable[[Path, DatasetConfig], Scene]
_REGISTERED: dict[str, tuple[Reader, Callable[[Path], bool] | None]] = {}


def register_reader(name: str, read: Reader, detect: Callable[[Path], bool] | None = None) -> None:
    """Makes a layout of one's own readable by `load_scene`, and by `dataset.format = name` in a config.

    Args:
        name: of the layout; a registered one is replaced.
        read: from folder and config to the scene: cameras looking along +z with pixel centres at +0.5, in a frame whose unit sphere holds
            the object. The scene is checked as all others are.
        detect: whether a folder has this layout, asked before the built-in ones; None: only where the format is given by name.

    Raises:
        InputError: the name of a built-in layout.

    >>> register_reader("idr", read_idr)
    Traceback (most recent call last):
    ...
    neus.errors.InputError: register_reader: 'idr' is a built-in layout; choose another name.
    """
    if name in BUILT_IN:
        raise InputError(f"register_reader: {name!r} is a built-in layout; choose another name.")
    _REGISTERED[name] = (read, detect)
    if name not in FORMATS:
        FORMATS.append(name)
