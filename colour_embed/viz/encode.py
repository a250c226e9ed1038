"""Video encoding: MP4, WebM, GIF or APNG, by the suffix of the file.

Frames are encoded chunk by chunk, so memory does not grow with the length of the video.
"""

from __future__ import annotations

import math
import numbers
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colour_embed.config import InputError
from colour_embed.io.placing import replacing_file, resolved

__all__ = [
    "FORMATS",
    "MAX_SIDE",
    "Format",
    "check_path",
    "check_rate",
    "encode",
    "has_poster",
    "poster_path",
    "write_poster",
]

MAX_SIDE = 16384
"""The largest width and height that libx264 encodes, pixels."""

_FASTEST = 50  # frames a second; browsers show a picture file's frames of 10 ms for 100 ms
_GREYS = 32  # levels in a GIF's palette: text, lines and the points' edges
_POSTER = {"Source": "colour_embed.animation"}  # the text chunk that identifies a poster


class Format(NamedTuple):
    """The FFmpeg settings of a video format.

    Attributes:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the encoder's pixel format.
        media: The media type.
        options: (preset, crf) -> options of the encoder.
        picture: Whether it is a picture that moves, of at most 50 frames a second.
        container_options: Options of the container.
    """

    container: str
    codec: str
    pixels: str
    media: str
    options: Callable[[str, int], dict[str, str]] = lambda preset, crf: {}
    picture: bool = False
    container_options: dict[str, str] = {}  # noqa: RUF012 (never changed)


FORMATS = {
    # With the index at the front, browsers start playback before the download ends.
    ".mp4": Format(
        "mp4",
        "libx264",
        "yuv420p",
        "video/mp4",
        # With x264's tree over macroblocks, the bytes of a video differ from run to run.
        lambda preset, crf: {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"},
        container_options={"movflags": "faststart"},
    ),
    # VP9's crf is about 8 above that of H.264 at the same visual quality.
    ".webm": Format(
        "webm",
        "libvpx-vp9",
        "yuv420p",
        "video/webm",
        lambda preset, crf: {
            "crf": str(min(crf + 8, 63)),
            "b": "0",
            "deadline": "realtime" if preset == "ultrafast" else "good",
            "cpu-used": "5",
            "row-mt": "1",
        },
    ),
    ".gif": Format("gif", "gif", "pal8", "image/gif", picture=True),
    ".apng": Format(
        "apng", "apng", "rgb24", "image/apng", picture=True, container_options={"plays": "0"}
    ),
}
"""The formats of `encode`, by suffix."""


def check_path(path: str | os.PathLike) -> Path:
    """Return the path as a Path, after checking its suffix and folder.

    Raises:
        InputError: the suffix is unknown, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path}: no such kind of video; give a name that ends in {', '.join(FORMATS)}"
        )
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder does not exist; make it first")
    return path


def check_rate(fps: float) -> Fraction:
    """Return frames per second as a fraction.

    Raises:
        InputError: fps is not a number from 0.01 to 1000.

    Example:
        >>> check_rate(30.0), check_rate(29.97)
        (Fraction(30, 1), Fraction(2997, 100))
    """
    number = isinstance(fps, numbers.Real) and not isinstance(fps, bool)
    if not number or not 0.01 <= fps <= 1000:
        raise InputError(f"fps is {fps!r}; give frames per second, a number from 0.01 to 1000")
    return Fraction(float(fps)).limit_denominator(1001)


def poster_path(path: str | os.PathLike) -> Path:
    """Return the path of a video's poster: its own path with the suffix .png."""
    return Path(path).with_suffix(".png")


def has_poster(path: str | os.PathLike) -> bool:
    """Return whether `write_poster` may write a path: it is free, or holds an earlier poster."""
    from PIL import Image, UnidentifiedImageError

    path = resolved(path)
    if not path.exists():
        return True
    try:
        with Image.open(path) as picture:
            return _POSTER.items() <= picture.info.items()
    except (OSError, UnidentifiedImageError):
        return False


def write_poster(picture: NDArray[np.uint8], path: str | os.PathLike) -> None:
    """Write one frame, uint8 [height, width, 3], as a PNG marked as a poster, atomically."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    for key, value in _POSTER.items():
        about.add_text(key, value)
    with replacing_file(path) as passing:
        Image.fromarray(picture).save(passing, format="PNG", pnginfo=about)


def encode(
    chunks: Iterable[NDArray[np.uint8]],
    path: str | os.PathLike,
    *,
    fps: float = 30,
    crf: int = 28,
    preset: str = "superfast",
    rgb: ArrayLike | None = None,
) -> int:
    """Write frames as a video and return their number.

    MP4 is H.264, yuv420p, BT.709, with the index at the front. WebM is VP9. A GIF has 256 colours.
    Browsers slow down a GIF or an APNG of more than 50 frames a second: it is written at 50,
    without the frames between, which a UserWarning says. The file is written atomically; after an
    error no new file is left.

    Args:
        chunks: uint8 [any, height, width, 3] each, all of one even height and width.
        path: The file, in an existing folder; its suffix is one of `FORMATS`.
        fps: Frames per second. GIF delays are whole hundredths of a second, which alternate (3, 4
            and 3 for 30 a second), so that the video as a whole takes the time asked for.
        crf: Constant rate factor of H.264, 0 (lossless) to 51; WebM adds 8, for similar quality.
        preset: libx264's preset, from "ultrafast" to "veryslow"; slower presets give smaller files.
        rgb: [C, 3], red, green and blue in 0..1, the colours that a GIF's palette is chosen for;
            None for those of the first chunk.

    Returns:
        The number of frames written.

    Raises:
        InputError: the path or fps is invalid, or there are no frames.
    """
    path, fps = check_path(path), check_rate(fps)
    form = FORMATS[path.suffix.lower()]
    if form.picture and fps > _FASTEST:
        warnings.warn(
            f"{path.name}: browsers slow down pictures of {float(fps):g} frames a second; written "
            f"at {_FASTEST}, without the frames between",
            stacklevel=2,
        )
        chunks, fps = _thinned(chunks, _FASTEST / fps), Fraction(_FASTEST)
    with replacing_file(path) as passing:
        count = _write(chunks, passing, form, fps, crf, preset, rgb)
        if count == 0:
            raise InputError(f"{path}: there are no frames to encode; give at least one")
    return count


def _thinned(chunks: Iterable[NDArray], share: Fraction) -> Iterator[NDArray]:
    """Yield this share of the frames, evenly spaced, and the last one."""
    seen, left_out = 0, None
    for chunk in chunks:
        place = range(seen, seen + len(chunk))
        kept = [math.ceil(at * share) < math.ceil((at + 1) * share) for at in place]
        seen += len(chunk)
        if any(kept):
            yield chunk[kept]
        if kept:
            left_out = None if kept[-1] else chunk[-1:].copy()
    if left_out is not None:
        yield left_out


def _write(chunks, path: Path, form: Format, fps: Fraction, crf: int, preset: str, rgb) -> int:
    import av

    count, convert = 0, None
    with av.open(
        str(path), "w", format=form.container, options=form.container_options
    ) as container:
        stream = container.add_stream(form.codec, rate=fps, options=form.options(preset, crf))
        stream.pix_fmt = form.pixels
        if form.pixels == "yuv420p":
            _describe_colours(stream.codec_context)
        for chunk in chunks:
            if count == 0:
                stream.height, stream.width = chunk.shape[1:3]
            for picture in chunk:
                convert = convert or _converter(form.pixels, chunk, rgb)
                container.mux(stream.encode(convert(picture)))
                count += 1
        if count:
            container.mux(stream.encode())
    return count


def _describe_colours(codec: Any) -> None:
    """Set the colour space in the file; without it, players guess and may shift the colours."""
    from av.video.reformatter import ColorRange

    codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709 in all three lists
    codec.color_range = ColorRange.MPEG.value


def _converter(pixels: str, first: NDArray[np.uint8], rgb: ArrayLike | None) -> Callable:
    """Return a function from a picture to a frame in the encoder's pixel format."""
    from av import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    if pixels == "pal8":
        return _palette_converter(_palette(first, rgb))
    if pixels == "rgb24":
        return lambda picture: VideoFrame.from_ndarray(picture, format="rgb24")
    into = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
    reformatter = VideoReformatter()  # one for all frames: it keeps its tables
    return lambda picture: reformatter.reformat(
        VideoFrame.from_ndarray(picture, format="rgb24"), format=pixels, **into
    )


def _palette(first: NDArray[np.uint8], rgb: ArrayLike | None) -> NDArray[np.uint8]:
    """Return the 256 colours [256, 3] of a GIF: greys, and those of the items or the first chunk.

    The blends of a point's edge take the nearest of these: points are large, and edges thin.
    """
    from PIL import Image

    wanted = first.reshape(-1, 3)
    if rgb is not None:
        wanted = np.rint(255 * np.asarray(rgb))
    packed = np.unique(wanted.astype(np.uint32) @ (1 << 16, 1 << 8, 1))
    wanted = np.stack([packed >> 16, packed >> 8, packed], axis=1).astype(np.uint8)
    # Median cut would give most colours to the densest shades, and none to rare vivid ones.
    chosen = Image.fromarray(wanted[None]).quantize(
        256 - _GREYS, Image.Quantize.MAXCOVERAGE, kmeans=1
    )
    found = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)[: np.max(chosen) + 1]
    palette = np.zeros((256, 3), np.uint8)
    palette[:_GREYS] = np.rint(np.linspace(0, 255, _GREYS))[:, None]
    palette[_GREYS : _GREYS + len(found)] = found
    return palette


def _palette_converter(palette: NDArray[np.uint8]) -> Callable:
    """Return a function to these colours, without dithering, whose noise would hide points."""
    from av import VideoFrame

    # The nearest colour of each cell of 4 x 4 x 4 levels, from its centre.
    levels = np.arange(2, 256, 4, dtype=np.float32)
    cells = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    target = palette.astype(np.float32)
    nearest = [
        np.argmin((target**2).sum(axis=1) - 2 * part @ target.T, axis=-1).ravel() for part in cells
    ]
    index = np.concatenate(nearest).astype(np.uint8)
    argb = np.concatenate([np.full((256, 1), 255, np.uint8), palette], axis=1)

    def convert(picture):
        cell = (picture >> 2).astype(np.int32) @ np.array([1 << 12, 1 << 6, 1], np.int32)
        return VideoFrame.from_ndarray((index[cell], argb), format="pal8")

    return convert
