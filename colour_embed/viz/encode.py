"""Video encoding: MP4, WebM, GIF or APNG, by the suffix of the file.

Frames are encoded chunk by chunk, so memory does not grow with the length of the video.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colour_embed.config import InputError
from colour_embed.io.placing import replacing_file

__all__ = ["FORMATS", "Format", "check_path", "encode", "poster_path", "write_png"]


class Format(NamedTuple):
    """The FFmpeg settings of a video format.

    Attributes:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the encoder's pixel format.
        media: The media type.
        options: (preset, crf) -> options of the encoder.
        container_options: Options of the container.
    """

    container: str
    codec: str
    pixels: str
    media: str
    options: Callable[[str, int], dict[str, str]] = lambda preset, crf: {}
    container_options: dict[str, str] = {}  # noqa: RUF012 (never changed)


FORMATS = {
    # With the index at the front, browsers start playback before the download ends.
    ".mp4": Format(
        "mp4",
        "libx264",
        "yuv420p",
        "video/mp4",
        lambda preset, crf: {"crf": str(crf), "preset": preset},
        {"movflags": "faststart"},
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
    ".gif": Format("gif", "gif", "pal8", "image/gif"),
    ".apng": Format("apng", "apng", "rgb24", "image/apng", container_options={"plays": "0"}),
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


def poster_path(path: str | os.PathLike) -> Path:
    """Return the path of a video's poster: its own path with the suffix .png."""
    return Path(path).with_suffix(".png")


def encode(
    chunks: Iterable[NDArray[np.uint8]],
    path: str | os.PathLike,
    *,
    fps: int = 30,
    crf: int = 26,
    preset: str = "medium",
) -> int:
    """Write frames as a video and return their number.

    MP4 is H.264, yuv420p, BT.709, with the index at the front. WebM is VP9. A GIF has 256 colours,
    chosen from its first frame, which shows every item. The file is written atomically; after an
    error no new file is left.

    Args:
        chunks: uint8 [any, height, width, 3] each, all of one even height and width.
        path: The file, in an existing folder; its suffix is one of `FORMATS`.
        fps: Frames per second. GIF delays are whole hundredths of a second, so 30 becomes 33.
        crf: Constant rate factor of H.264, 0 (lossless) to 51; WebM adds 8, for similar quality.
        preset: libx264's preset, from "ultrafast" to "veryslow"; slower presets give smaller files.

    Returns:
        The number of frames written.

    Raises:
        InputError: the path is invalid, or there are no frames.
    """
    path = check_path(path)
    with replacing_file(path) as passing:
        count = _write(chunks, passing, FORMATS[path.suffix.lower()], fps, crf, preset)
        if count == 0:
            raise InputError(f"{path}: there are no frames to encode; give at least one")
    return count


def write_png(picture: NDArray[np.uint8], path: str | os.PathLike) -> None:
    """Write one frame, uint8 [height, width, 3], as a PNG, atomically."""
    from PIL import Image

    with replacing_file(Path(path)) as passing:
        Image.fromarray(picture).save(passing, format="PNG")


def _write(chunks, path: Path, form: Format, fps: int, crf: int, preset: str) -> int:
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
                convert = convert or _converter(form.pixels, picture)
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


def _converter(pixels: str, first: NDArray[np.uint8]) -> Callable:
    """Return a function from a picture to a frame in the encoder's pixel format."""
    from av import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace

    if pixels == "pal8":
        return _palette_converter(first)
    if pixels == "rgb24":
        return lambda picture: VideoFrame.from_ndarray(picture, format="rgb24")
    return lambda picture: VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format=pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )


def _palette_converter(first: NDArray[np.uint8]) -> Callable:
    """Return a function to 256 colours, without dithering, whose noise would hide points."""
    from av import VideoFrame
    from PIL import Image

    chosen = Image.fromarray(first).quantize(256, Image.Quantize.MEDIANCUT)
    levels = np.zeros((256, 3), np.uint8)
    found = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)
    levels[: len(found)] = found
    palette = np.concatenate([np.full((256, 1), 255, np.uint8), levels], axis=1)  # ARGB

    def convert(picture):
        index = Image.fromarray(picture).quantize(palette=chosen, dither=Image.Dither.NONE)
        return VideoFrame.from_ndarray((np.asarray(index), palette), format="pal8")

    return convert
