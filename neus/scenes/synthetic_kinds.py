"""Kinds of synthetic scenes by name: SHAPE[+DEGRADATION...][@SEED], such as `house`, `house+noise+gain`, `relief+all@3`."""

from dataclasses import dataclass

from neus.errors import InputError
from neus.scenes.degradations import Imaging
from neus.scenes.synthetic_light import Light
from neus.scenes.synthetic_shapes import SHAPES, Shape

# What each degradation does. Those of one line exclude each other.
DEGRADATIONS = {
    "shadows": "the key light casts shadows",
    "headlight": "the key light moves with the camera",
    "gloss0.1": "GGX gloss of roughness 0.1", "gloss0.3": "GGX gloss of roughness 0.3", "metal": "all parts are metal",
    "saturated": "5 % of the object's pixels are saturated",
    "noise": "noise of variance 0.6 I + 4 levels squared",
    "jpeg": "JPEG of quality 92",
    "blur": "blur, sigma 0.7 px",
    "poses0.3": "cameras turned by 0.3 px", "poses1": "cameras turned by 1 px",
    "gain": "gain of each view within +-20 %",
    "masks-wide": "masks 2 px too wide", "masks-narrow": "masks 2 px too narrow", "masks-thick": "masks without thin parts",
}  # fmt: skip
EXCLUSIVE = (("gloss0.1", "gloss0.3", "metal"), ("poses0.3", "poses1"), ("masks-wide", "masks-narrow", "masks-thick"))
# All together: of those that exclude each other the harder one of gloss, the usual one of poses, and the masks that cut.
ALL = (
    "shadows", "headlight", "gloss0.3", "saturated", "noise", "jpeg", "blur", "poses0.3", "gain", "masks-narrow",
)  # fmt: skip


@dataclass(frozen=True)
class SyntheticKind:
    """One kind of scene.

    Attributes:
        shape: name of the object.
        degradations: their names, each at most once.
        seed: of cameras, noise, gains and whatever else is random.
    """

    shape: str = "cup"
    degradations: tuple[str, ...] = ()
    seed: int = 0

    def __str__(self) -> str:
        seed = f"@{self.seed}" if self.seed else ""
        return "+".join((self.shape, *self.degradations)) + seed

    @property
    def object(self) -> Shape:
        """Its object."""
        return SHAPES[self.shape]

    @property
    def light(self) -> Light:
        """How it is lit."""
        has = self.degradations.__contains__
        roughness = 0.1 if has("gloss0.1") else 0.3 if has("gloss0.3") else None
        return Light(has("shadows"), has("headlight"), roughness, has("metal"))

    @property
    def imaging(self) -> Imaging:
        """What images, masks and cameras suffer."""
        has = self.degradations.__contains__
        masks = next((name.removeprefix("masks-") for name in self.degradations if name.startswith("masks")), "")
        pixels = 0.3 if has("poses0.3") else 1.0 if has("poses1") else 0.0
        return Imaging(has("saturated"), has("gain"), has("blur"), has("noise"), has("jpeg"), masks, pixels)


def kind_of(text: str) -> SyntheticKind:
    """The kind that a text names.

    Raises:
        InputError: an unknown name, or degradations that exclude each other.

    >>> str(kind_of("house+noise+gain@2")), len(kind_of("relief+all").degradations)
    ('house+noise+gain@2', 10)
    """
    names, at, seed = text.partition("@")
    shape, *given = names.split("+")
    if shape not in SHAPES or any(name not in (*DEGRADATIONS, "all") for name in given):
        raise InputError(
            f"synthetic scene {text!r}: expected SHAPE[+DEGRADATION...][@SEED], SHAPE one of {', '.join(SHAPES)}, DEGRADATION of "
            f"{', '.join(DEGRADATIONS)}, all."
        )
    if at and not seed.isdecimal():
        raise InputError(f"synthetic scene {text!r}: {seed!r} is no seed, expected a whole number such as @1.")
    chosen = tuple(dict.fromkeys(name for g in given for name in (ALL if g == "all" else (g,))))
    for group in EXCLUSIVE:
        if len(both := [name for name in chosen if name in group]) > 1:
            raise InputError(f"synthetic scene {text!r}: {' and '.join(both)} exclude each other; leave one out.")
    return SyntheticKind(shape, chosen, int(seed or 0))
