"""Camera files of other programs, parsed to `posed_images.PosedImages`: one file for each format, and their table in `formats`."""

__all__ = [
    "alicevision", "brown", "bundler", "files", "formats", "matrices", "metashape", "nvm", "openmvg", "opensfm", "realitycapture",
]  # fmt: skip
