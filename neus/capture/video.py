"""Frames of a video, by the ffmpeg of imageio-ffmpeg through a pipe: all of them small and grey, some of them in full as JPEG."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neus.errors import InputError

# All frames are watched at this width; it is enough to measure motion and compare sharpness.
WATCHED_WIDTH = 320
# Frames that are kept are reduced to this along the longer side: features need no more, and scenes are read at no more.
LONGEST_SIDE = 1920
# JPEG of ffmpeg, 2 (best) to 31.
JPEG_SCALE = "2"
# Transfer curves of HDR: hybrid log-gamma and perceptual quantiser (ITU-R BT.2100), which phones write; shown as they are they look grey.
_HDR = re.compile(r"arib-std-b67|smpte2084")
_TONE_MAP = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
_DURATION, _RATE = re.compile(r"Duration: (\d+):(\d+):(\d+(?:\.\d+)?)"), re.compile(r"([\d.]+) fps")


@dataclass(frozen=True)
class VideoFacts:
    """What ffmpeg says of a video: about how many frames it has (0 if unknown), and whether it is HDR."""

    n_frames: int
    is_hdr: bool


def video_facts(path: Path) -> VideoFacts:
    """The facts of a video file.

    Raises:
        InputError: no video in it.
    """
    ran = subprocess.run([_ffmpeg(), "-hide_banner", "-i", str(path)], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    text = ran.stderr.decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if "Video:" in line and "attached pic" not in line]
    if not lines:
        reason = text.strip().splitlines()[-1].removeprefix(f"{path}: ") if text.strip() else "empty"
        raise InputError(f"{path}: no readable video ({reason}); copy it again, or convert it to MP4.")
    duration, rate = _DURATION.search(text), _RATE.search(lines[0])
    seconds = sum(float(part) * unit for part, unit in zip(duration.groups(), (3600, 60, 1))) if duration else 0.0
    return VideoFacts(round(seconds * float(rate.group(1))) if rate else 0, bool(_HDR.search(lines[0])))


def watched_frames(path: Path) -> Iterator[np.ndarray]:
    """Yields every frame as (h, 320) uint8 grey, upright.

    Raises:
        InputError: the video cannot be decoded at all; one that breaks off ends early.
    """
    options = ["-vf", f"scale={WATCHED_WIDTH}:-2:flags=area", "-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "pgm", "-"]
    n_frames = 0
    with _running([*_input(path), *options]) as pipe:
        while (frame := _read_pgm(pipe)) is not None:
            n_frames += 1
            yield frame
    if n_frames == 0:
        raise InputError(f"{path}: no frame of it can be decoded; convert it to MP4 (H.264).")


def write_frames(path: Path, numbers: Sequence[int], folder: Path, is_hdr: bool) -> list[Path]:
    """Writes the numbered frames, upright, as JPEG of at most 1920 pixels along the longer side.

    Args:
        path: the video.
        numbers: ascending, of those that `watched_frames` counts from 0.
        folder: a new folder for frame_000123.jpg.
        is_hdr: brightness is mapped to that of ordinary screens.

    Raises:
        InputError: ffmpeg failed, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = "+".join(f"eq(n\\,{number})" for number in numbers)
    side = f"scale=w='if(gte(iw,ih),min({LONGEST_SIDE},iw),-2)':h='if(gte(iw,ih),-2,min({LONGEST_SIDE},ih))':flags=area"
    filters = ",".join([f"select='{chosen}'", side, *([_TONE_MAP] if is_hdr else [])])
    script = folder / "filters.txt"  # command lines have a limit, which hundreds of frames would pass
    script.write_text(filters, encoding="utf-8")
    options = ["-fps_mode", "passthrough", "-q:v", JPEG_SCALE, "-pix_fmt", "yuvj420p", str(folder / "part_%06d.jpg")]
    command = [_ffmpeg(), *_input(path), "-/filter:v", str(script), *options]
    ran = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    script.unlink()
    parts = sorted(folder.glob("part_*.jpg"))
    if ran.returncode != 0 or len(parts) < len(numbers):
        lines = ran.stderr.decode("utf-8", errors="replace").strip().splitlines() or [f"{len(parts)} of {len(numbers)} frames"]
        raise InputError(f"{path}: its frames cannot be written to {folder} ({lines[-1]}); free some space, or convert it to MP4.")
    files = [folder / f"frame_{number:06d}.jpg" for number in numbers]
    for part, file in zip(parts, files, strict=True):
        part.replace(file)
    return files


def _input(path: Path) -> list[str]:
    return ["-hide_banner", "-loglevel", "error", "-i", str(path), "-map", "0:v:0", "-an"]


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


@contextmanager
def _running(arguments: list[str]) -> Iterator:
    process = subprocess.Popen(
        [_ffmpeg(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield process.stdout
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def _read_pgm(pipe) -> np.ndarray | None:  # noqa: ANN001
    """The next image of a stream of binary PGM, None at its end."""
    words: list[bytes] = []
    while len(words) < 4:  # P5, width, height, greatest value, each followed by white space
        line = pipe.readline()
        if not line:
            return None
        words += line.split(b"#")[0].split()
    width, height = int(words[1]), int(words[2])
    data = pipe.read(width * height)
    return np.frombuffer(data, np.uint8).reshape(height, width) if len(data) == width * height else None
