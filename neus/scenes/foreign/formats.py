"""The camera formats of other programs, in the order in which a folder is searched for them.

Each only parses its files to `PosedImages`; `posed_scene.scene_of_posed` makes the scene of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neus.scenes.foreign.alicevision import find_alicevision, read_alicevision
from neus.scenes.foreign.bundler import find_bundler, read_bundler
from neus.scenes.foreign.llff import find_llff, read_llff
from neus.scenes.foreign.matrices import (
    find_middlebury,
    find_projections,
    find_strecha,
    read_middlebury,
    read_projections,
    read_strecha,
)
from neus.scenes.foreign.metashape import find_metashape, read_metashape
from neus.scenes.foreign.nsvf import find_nsvf, read_nsvf
from neus.scenes.foreign.nvm import find_nvm, read_nvm
from neus.scenes.foreign.openmvg import find_openmvg, read_openmvg
from neus.scenes.foreign.opensfm import find_opensfm, read_opensfm
from neus.scenes.foreign.polycam import find_polycam, read_polycam
from neus.scenes.foreign.realitycapture import find_realitycapture, read_realitycapture
from neus.scenes.foreign.record3d import find_record3d, read_record3d
from neus.scenes.foreign.xmp import find_xmp, read_xmp
from neus.scenes.posed_images import PosedImages


@dataclass(frozen=True)
class Format:
    """A camera format.

    Attributes:
        find: from a scene's folder, or a file, to the camera file; None where it is not of this format.
        read: from that file and the scene's folder to its contents.
    """

    find: Callable[[Path], Path | None]
    read: Callable[[Path, Path], PosedImages]


FOREIGN: dict[str, Format] = {
    "polycam": Format(find_polycam, read_polycam),
    "record3d": Format(find_record3d, read_record3d),
    "metashape": Format(find_metashape, read_metashape),
    "realitycapture": Format(find_realitycapture, read_realitycapture),
    "xmp": Format(find_xmp, read_xmp),
    "alicevision": Format(find_alicevision, read_alicevision),
    "openmvg": Format(find_openmvg, read_openmvg),
    "opensfm": Format(find_opensfm, read_opensfm),
    "bundler": Format(find_bundler, read_bundler),
    "nvm": Format(find_nvm, read_nvm),
    "llff": Format(find_llff, read_llff),
    "nsvf": Format(find_nsvf, read_nsvf),
    "middlebury": Format(find_middlebury, read_middlebury),
    "strecha": Format(find_strecha, read_strecha),
    "projections": Format(find_projections, read_projections),
}
