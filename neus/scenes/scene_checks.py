"""Whether a scene makes sense: counts, matrices, masks, cameras; one clear line where it does not."""


import math
import warnings

import torch

from neus.errors import InputError, MaskWarning
from neus.geometry.similarity import is_similarity, scale_of
from neus.scenes.pixel_store import is_in_memory, size_at
from neus.scenes.scene import Scene

# Intrinsics in pixels are far above this, those in fractions of the image's sides below.
LARGEST_FRACTION = 3.0


def checked(scene: Scene, allow_inside: bool = False) -> Scene:
    """The scene itself, once it is known to make sense; masks that are read when they are indexed are not read for it.

    Args:
        scene: as a reader made it.
        allow_inside: accept cameras wherever they are (`dataset.camera_outside_sphere = false`); those inside the unit
            sphere and those that cannot see it are then left to the checks.

    Raises:
        InputError: counts or sizes that differ, numbers that are not finite, a scene_to_world that is no similarity,
            masks without a single object pixel, a camera inside the unit sphere or one that cannot see it.
    """
    if len(scene) == 0:
        raise InputError(f"{scene.source}: no images found; expected at least one readable image.")
    check_cameras(scene)
    if scene.masks is not None:
        _check_masks(scene)
    for view in range(0 if allow_inside else len(scene)):
        _check_camera(scene, view)
    return scene


def check_cameras(scene: Scene) -> None:
    """InputError if the scene's matrices are not one for each image, or no cameras: what needs no pixels to be known."""
    _check_counts(scene)
    _check_matrices(scene)


def _check_counts(scene: Scene) -> None:
    for what in ("intrinsics", "camera_to_scene", "names"):
        if len(getattr(scene, what)) != len(scene.images):
            raise InputError(
                f"{scene.source}: {len(getattr(scene, what))} {what} but {len(scene.images)} images; "
                "expected one for each image. Remove the extra ones or re-export the cameras."
            )


def _check_matrices(scene: Scene) -> None:
    for view, name in enumerate(scene.names):
        pose, intrinsics = scene.camera_to_scene[view], scene.intrinsics[view]
        where = f"{scene.source}: view {view} ({name})"
        for what, matrix in (("intrinsics", intrinsics), ("pose", pose)):
            if not torch.isfinite(matrix).all():
                raise InputError(f"{where}: its {what} holds NaN or infinity; re-export the cameras.")
        focal = intrinsics.diagonal()[:2]
        if not (focal > 0).all():
            raise InputError(
                f"{where}: focal lengths {focal.tolist()}, expected positive numbers of pixels; re-export the cameras."
            )
        size = scene.camera(view).width, scene.camera(view).height
        if float(intrinsics[:2].abs().max()) < LARGEST_FRACTION and min(size) > 4 * LARGEST_FRACTION:
            raise InputError(
                f"{where}: focal lengths {focal.tolist()} and principal point {intrinsics[:2, 2].tolist()} are fractions of the image, "
                f"expected pixels; multiply the first row by its width {size[0]} and the second by its height {size[1]}."
            )
        if not is_similarity(pose) or abs(scale_of(pose) ** 3 - 1.0) > 1e-2:
            raise InputError(
                f"{where}: its pose is not a rotation and a translation (it scales, shears or mirrors); "
                "re-export the cameras."
            )
    if not torch.isfinite(scene.scene_to_world).all() or scale_of(scene.scene_to_world) < 1e-12:
        raise InputError(
            f"{scene.source}: the scale matrix is singular or not finite; re-export it as scale and translation."
        )
    if not is_similarity(scene.scene_to_world):
        raise InputError(
            f"{scene.source}: the scale matrix stretches its axes differently or mirrors them; "
            "expected one scale, a rotation and a translation."
        )


def _check_masks(scene: Scene) -> None:
    if len(scene.masks) != len(scene.images):
        raise InputError(
            f"{scene.source}: {len(scene.masks)} masks but {len(scene.images)} images; "
            "give one mask for each image, or remove the masks."
        )
    for view, (width, height) in enumerate(scene.sizes):
        found = size_at(scene.masks, view)
        if found != (width, height):
            raise InputError(
                f"{scene.source}: mask of view {view} ({scene.names[view]}) is {found[0]}x{found[1]} pixels "
                f"but its image {width}x{height}; export the mask at the size of the image."
            )
    if not is_in_memory(scene.masks):
        return
    fractions = [float(mask.mean()) for mask in scene.masks]
    if max(fractions) == 0.0:
        raise InputError(
            f"{scene.source}: all {len(fractions)} masks are black; expected the object in white (above 127). "
            "Invert them if they are inverted, or remove them to train without masks."
        )
    if min(fractions) == 1.0:
        warnings.warn(
            f"{scene.source}: all masks are white, so they carry no information; train without masks (--conf womask.conf).",
            MaskWarning,
            stacklevel=3,
        )
    elif black := [scene.names[v] for v, fraction in enumerate(fractions) if fraction == 0.0]:
        warnings.warn(
            f"{scene.source}: {len(black)} masks are black ({', '.join(black[:4])}); is the object out of sight there?",
            MaskWarning,
            stacklevel=3,
        )


def _check_camera(scene: Scene, view: int) -> None:
    camera, name = scene.camera(view), scene.names[view]
    distance = float(camera.center.norm())
    if distance < 1.0:
        raise InputError(
            f"{scene.source}: the camera of view {view} ({name}) is {distance:.3f} from the centre, inside the unit "
            f"sphere of the object; make the region of interest smaller (its radius is {scale_of(scene.scene_to_world):.4g} "
            "world units; `neus check` suggests another), or --set dataset.camera_outside_sphere=false."
        )
    width, height = float(camera.width), float(camera.height)
    corners = torch.tensor([[0.0, 0.0, 1.0], [width, 0.0, 1.0], [0.0, height, 1.0], [width, height, 1.0]])
    rays = torch.nn.functional.normalize(corners.double() @ torch.linalg.inv(camera.intrinsics).T, dim=-1)
    half_field_of_view = float(torch.arccos(rays[:, 2].clamp(-1, 1)).max())
    angle_to_center = math.acos(max(-1.0, min(1.0, float(-(camera.center / distance) @ camera.forward))))
    if angle_to_center - math.asin(1.0 / distance) > half_field_of_view:
        raise InputError(
            f"{scene.source}: the camera of view {view} ({name}) looks {math.degrees(angle_to_center):.0f} degrees "
            "away from the object's unit sphere and cannot see it; check that poses look along +z and belong to these "
            f"images, or leave the view out: --set 'dataset.exclude=[\"{name}\"]'."
        )
