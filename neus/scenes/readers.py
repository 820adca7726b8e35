"""One door for all layouts: config section `dataset`, and the reader that a folder needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import read_text
from neus.geometry.poses import invert
from neus.geometry.similarity import scale_of, similarity, transform_poses
from neus.scenes.blendedmvs import mvs_folders, read_blendedmvs
from neus.scenes.blender import read_blender
from neus.scenes.colmap import read_colmap
from neus.scenes.colmap_model import model_places
from neus.scenes.downscale import AUTO
from neus.scenes.foreign.formats import FOREIGN
from neus.scenes.idr import camera_file, read_idr
from neus.scenes.masks import MEANINGS
from neus.scenes.point_files import with_world_file
from neus.scenes.posed_images import PosedImages, image_folder
from neus.scenes.posed_scene import scene_of_posed
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.scenes.selection import Selection
from neus.scenes.transforms_file import SPLITS
from neus.scenes.view_files import Loading
from neus.settings import at_least, one_of

BUILT_IN = ("auto", "idr", "blendedmvs", "blender", "colmap", *FOREIGN)
# Registered readers add to these, and to the choices of `dataset.format` with them.
FORMATS = list(BUILT_IN)
# How far above a camera file the folder of its scene may be, MeshroomCache/StructureFromMotion/ID/cameras.sfm being the farthest.
FOLDERS_ABOVE = 4
# What the region of interest is to hold.
OBJECT, WHOLE_SCENE = "object", "scene"
BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}


@dataclass(frozen=True)
class DatasetConfig:
    """Config section `dataset`, with NeuS's keys and a few more.

    Attributes:
        data_dir: folder of the scene.
        render_cameras_name, object_cameras_name: camera files of IDR folders.
        camera_outside_sphere: whether cameras within the object's unit sphere are an error.
        scale_mat_scale: kept for old configs; NeuS reads it and never uses it.
        format: layout of the folder; `auto` detects it.
        background: colour laid under images with an alpha channel.
        split: which `transforms_*.json` of a Blender scene, or which of its lists `*_filenames`.
        views: only these views, by name or number; empty for all.
        exclude: none of these views, by name or number.
        mask_meaning: `object` for outlines, `ignore` for masks that show something else, `auto` to find out.
        images: folder of the images within the scene; empty: images/ or image/.
        downscale: images and masks are made smaller by this whole number while they are read; `auto` halves them until the longer side
            is at most 1600 pixels, 1 keeps the full size.
        region: which region of interest is found: `object` for what the cameras look at, `scene` for all that they show.
        center: centre of the region of interest in world units, three numbers; empty: found.
        radius: radius of the region of interest in world units; 0: found.
        box: two corners in world units, six numbers: the region of interest is the sphere around them, and the mesh is
            extracted between them; or empty.
        holdout: every K-th view is held out of training; 0: none.
    """

    data_dir: str = ""
    render_cameras_name: str = "cameras_sphere.npz"
    object_cameras_name: str = "cameras_sphere.npz"
    camera_outside_sphere: bool = True
    scale_mat_scale: float = at_least(0.0, default=1.1)
    format: str = one_of(FORMATS, default="auto")
    background: str = one_of(tuple(BACKGROUNDS), default="white")
    split: str = "train"
    views: tuple[str | int, ...] = ()
    exclude: tuple[str | int, ...] = ()
    mask_meaning: str = one_of(MEANINGS, default="auto")
    images: str = ""
    downscale: str | int = AUTO
    region: str = one_of((OBJECT, WHOLE_SCENE), default=OBJECT)
    center: tuple[float, ...] = ()
    radius: float = at_least(0.0, default=0.0)
    box: tuple[float, ...] = ()
    holdout: int = at_least(0, default=0)


def read_scene(
    folder: Path,
    config: DatasetConfig | None = None,
    lazy: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    on_start: Callable[[str], None] | None = None,
) -> Scene:
    """The scene in a folder of any known layout.

    Args:
        folder: IDR/NeuS, raw BlendedMVS, Blender, COLMAP, or one of `foreign.formats.FOREIGN`; or its camera file.
        config: camera files, background, region of interest.
        lazy: each image and mask is read when it is indexed, for work that needs cameras, or few views; what the masks show is then
            not checked. A region of interest that is found from masks still reads those.
        on_progress: receives the number of views that are read, and of how many; called from several threads, one at a time.
        on_start: receives one line on the images and the memory they take before they are read, if that is 100 MB or more; not if `lazy`.

    Raises:
        InputError: no such folder, no known layout, not enough memory, or what the reader finds wrong.
    """
    config, folder = config or DatasetConfig(), Path(folder)
    scene = _read(folder, config, lazy, on_progress, on_start)
    return with_world_file(scene, folder.parent if folder.is_file() else folder)


def _read(
    folder: Path,
    config: DatasetConfig,
    lazy: bool,
    on_progress: Callable[[int, int], None] | None,
    on_start: Callable[[str], None] | None,
) -> Scene:
    layout = layout_of(folder, config) if config.format == "auto" else config.format
    if config.center and len(config.center) != 3:
        raise InputError(f"dataset.center: {list(config.center)}, expected three numbers x, y, z in world units.")
    if bool(config.center) != bool(config.radius):
        raise InputError("dataset.center and dataset.radius belong together; give both, or neither to have them found.")
    if config.box:
        has_own_region = layout == "idr" or layout in _REGISTERED
        return _read_box(folder, config, has_own_region, lazy, on_progress, on_start)
    if layout in _REGISTERED:
        return checked(_REGISTERED[layout][0](folder, config), not config.camera_outside_sphere)
    region = (config.center or None, config.radius or None)
    color = BACKGROUNDS[config.background]
    common = {
        "allow_inside": not config.camera_outside_sphere or config.region == WHOLE_SCENE,
        "selection": Selection(config.views, config.exclude),
        "mask_meaning": config.mask_meaning,
        "loading": Loading(lazy, config.downscale, on_start, on_progress),
    }
    if layout == "idr":
        if config.center:
            raise InputError("dataset.center: IDR scenes carry their region of interest in scale_mat_i; leave it out.")
        if config.region != OBJECT:
            raise InputError(
                f"dataset.region={config.region}: IDR scenes carry their region of interest in scale_mat_i; leave it out, or give "
                "dataset.box."
            )
        return read_idr(folder, config.render_cameras_name, config.object_cameras_name, background=color, **common)
    if layout == "blendedmvs":
        return read_blendedmvs(folder, *region, **common)
    if layout == "blender":
        return read_blender(folder, config.split, color, center=region[0], scale=region[1], region=config.region, **common)
    if layout == "colmap":
        return read_colmap(folder, *region, background=color, images=config.images, region=config.region, **common)
    posed = read_posed(folder, layout)
    return scene_of_posed(posed, layout, folder, *region, background=color, images=config.images, region=config.region, **common)


def read_posed(folder: Path, layout: str) -> PosedImages:
    """The cameras of a scene in one of the formats of `FOREIGN`.

    Raises:
        InputError: no such folder, no camera file of that format, or what the reader finds wrong.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; expected a scene of the format {layout}.")
    path = FOREIGN[layout].find(folder)
    if path is None:
        raise InputError(f"{folder}: no camera file of the format {layout} in it; leave dataset.format out to have it found.")
    return FOREIGN[layout].read(path, _folder_of(folder) if folder.is_file() else folder)


def _folder_of(path: Path) -> Path:
    """The folder of a camera file's scene: the nearest above it that holds images/, which may be above opensfm/ or bundle/; or its own."""
    above = path.resolve().parents[:FOLDERS_ABOVE]
    return next((folder for folder in above if image_folder(folder) != folder), path.parent)


def _read_box(
    folder: Path,
    config: DatasetConfig,
    has_own_region: bool,
    lazy: bool,
    on_progress: Callable[[int, int], None] | None,
    on_start: Callable[[str], None] | None,
) -> Scene:
    """The scene in the sphere around the box that is given, its mesh extracted in that box."""
    corners = torch.as_tensor(config.box, dtype=torch.float64)
    if corners.shape != (6,) or not torch.isfinite(corners).all() or not (corners[:3] < corners[3:]).all():
        raise InputError(
            f"dataset.box: {list(config.box)}, expected six numbers in world units: the corner with the least x, y, z, "
            "then the opposite one."
        )
    if config.center:
        raise InputError("dataset.box and dataset.center exclude each other; give one.")
    corners = corners.reshape(2, 3)
    center, radius = corners.mean(dim=0), float((corners[1] - corners[0]).norm()) / 2
    anywhere = replace(config, box=(), region=OBJECT, camera_outside_sphere=False)
    if not has_own_region:
        anywhere = replace(anywhere, center=tuple(center.tolist()), radius=radius)
    scene = read_scene(folder, anywhere, lazy, on_progress, on_start)
    scene = replace(scene.in_frame(similarity(radius, center), (corners - center) / radius), region_from="")
    return checked(scene, not config.camera_outside_sphere)


def read_split(folder: Path, config: DatasetConfig, split: str, scene_to_world: Tensor) -> Scene:
    """Another split of a scene in the frame of a model, such as the test views of NeRF's synthetic scenes.

    Args:
        folder: a scene with transforms_<split>.json, or whose transforms.json lists <split>_filenames.
        config: as for `read_scene`; its region of interest, views and exclude are those of the training split and are not used.
        split: train, val or test.
        scene_to_world: (4, 4) of the model; no region is estimated.

    Raises:
        InputError: the scene has no such split, or what the reader finds wrong.
    """
    folder = Path(folder)
    if split not in SPLITS:
        raise InputError(f"split {split!r}: expected one of {', '.join(SPLITS)}.")
    place = folder.parent if folder.is_file() else folder
    file = place / f"transforms_{split}.json"
    lists_split = (place / "transforms.json").is_file() and f'"{split}_filenames"' in read_text(
        place / "transforms.json"
    )
    if not file.is_file() and not lists_split:
        raise InputError(
            f"{place}: no split {split}; expected transforms_{split}.json, or {split}_filenames in transforms.json."
        )
    center, radius = tuple(scene_to_world[:3, 3].tolist()), scale_of(scene_to_world)
    whole = replace(config, format="blender", split=split, center=center, radius=radius, box=(), views=(), exclude=())
    scene = read_scene(file if file.is_file() else place / "transforms.json", whole)
    # The region read above has no rotation; the model's frame may have one.
    to_model = invert(scene_to_world.double()) @ scene.scene_to_world
    return replace(
        scene, camera_to_scene=transform_poses(to_model, scene.camera_to_scene), scene_to_world=scene_to_world.double()
    )


def layout_of(folder: Path, config: DatasetConfig) -> str:
    """The name of the layout of a folder, by the files that only it has.

    Raises:
        InputError: no such folder, or none of the known layouts.
    """
    for name, (_, detect) in _REGISTERED.items():
        if folder.exists() and detect is not None and detect(folder):
            return name
    if folder.is_file():
        name = next((name for name, form in FOREIGN.items() if form.find(folder) is not None), None)
        if name or folder.suffix == ".json":
            return name or "blender"
        raise InputError(f"{folder}: no known camera file; expected a folder, or one of the files in docs/formats.md.")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene in one of the formats of docs/formats.md.")
    if camera_file(folder, config.render_cameras_name).exists():
        return "idr"
    images, cameras = mvs_folders(folder)
    is_mvs = images.is_dir() and cameras.is_dir()
    if is_mvs and images.name == "blended_images":
        return "blendedmvs"
    if any(folder.glob("transforms*.json")):
        return "blender"
    if model_places(folder):
        return "colmap"
    if is_mvs and any(cameras.glob("*_cam.txt")):  # MVSNet's images/ alone would fit many folders
        return "blendedmvs"
    for name, form in FOREIGN.items():
        if form.find(folder) is not None:
            return name
    raise InputError(
        f"{folder}: no known layout; expected {config.render_cameras_name} (IDR/NeuS), cams/ and blended_images/ (BlendedMVS) or "
        "images/ (MVSNet), transforms_*.json (Blender), sparse/0/cameras.bin (COLMAP), or a camera file of another program "
        "(docs/formats.md)."
    )


Reader = Callable[[Path, DatasetConfig], Scene]
_REGISTERED: dict[str, tuple[Reader, Callable[[Path], bool] | None]] = {}


def register_reader(name: str, read: Reader, detect: Callable[[Path], bool] | None = None) -> None:
    """Makes a layout of one's own readable by `load_scene`, and by `dataset.format = name` in a config.

    Args:
        name: of the layout; a registered one is replaced.
        read: from folder and config to the scene: cameras looking along +z with pixel centres at +0.5, in a frame whose unit sphere holds
            the object. The scene is checked as all others are.
        detect: whether a folder has this layout, called before the built-in ones; None: only where the format is given by name.

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
