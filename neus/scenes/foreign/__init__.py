"""Camera files of other programs, parsed to `posed_images.PosedImages`: one file for each format, and their table in `formats`."""

__all__ = [
    "alicevision", "brown", "bundler", "files", "formats", "llff", "matrices", "metashape", "nsvf", "nvm", "openmvg", "opensfm", "polycam",
    "realitycapture", "record3d", "xmp",
]  # fmt: skip
