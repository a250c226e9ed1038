"""Videos: what is written is what was drawn, in every format, whole or not at all."""

import os

import av
import numpy as np
import pytest
from PIL import Image

from colour_embed import animation as drawing
from colour_embed.config import InputError
from colour_embed.viz.encode import FORMATS, encode, poster_path, write_png

COLOURS = np.array([(200, 30, 60), (20, 160, 90), (250, 250, 250), (5, 5, 5)], np.uint8)


def patches(frames=3, width=96, height=64):
    """uint8 [frames, height, width, 3]: four fields of one colour each, moving on by one."""
    columns = np.arange(width) * 4 // width
    order = (columns + np.arange(frames)[:, None]) % 4
    return np.broadcast_to(COLOURS[order][:, None], (frames, height, width, 3))


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_reads_back_with_its_colours(tmp_path, ending):
    path = tmp_path / f"video{ending}"
    drawn = patches(frames=5)
    assert encode([drawn[:2], drawn[2:]], path, fps=25, crf=4) == 5
    assert os.listdir(tmp_path) == [path.name]
    with av.open(str(path)) as container:
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = np.stack(found).astype(int)
    assert found.shape == drawn.shape
    middle = np.s_[:, 8:-8, [12, 36, 60, 84]]
    exact = ending in (".gif", ".apng")
    np.testing.assert_allclose(found[middle], drawn[middle], atol=0 if exact else 6)


@pytest.mark.parametrize(("ending", "still"), [(".gif", "GIF"), (".apng", "PNG")])
def test_pictures_that_move_open_in_other_programs_and_repeat(tmp_path, ending, still):
    path = tmp_path / f"moving{ending}"
    encode([patches(frames=4)], path, fps=20)
    with Image.open(path) as picture:
        assert picture.format == still
        assert picture.n_frames == 4
        assert picture.is_animated
        assert picture.info["loop"] == 0  # for ever
        assert picture.info["duration"] == 50


def test_colours_survive_the_video(tmp_path):
    colour = np.array([200, 30, 60], np.uint8)
    path = tmp_path / "video.mp4"
    encode([np.broadcast_to(colour, (3, 64, 96, 3))], path, crf=10)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert int(frame.colorspace) == 1  # BT.709
    assert int(frame.color_range) == 1  # 16..235
    luma = colour @ [0.2126, 0.7152, 0.0722]
    expected = [
        16 + 219 * luma / 255,
        128 + 224 * (colour[2] - luma) / 1.8556 / 255,
        128 + 224 * (colour[0] - luma) / 1.5748 / 255,
    ]
    np.testing.assert_allclose([bytes(plane)[0] for plane in frame.planes], expected, atol=1.5)


def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path):
    def failing():
        yield np.zeros((2, 64, 64, 3), np.uint8)
        raise RuntimeError("halfway")

    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="halfway"):
        encode(drawing._ahead(failing()), path)
    with pytest.raises(InputError, match="no frames"):
        encode(iter(()), path)
    assert os.listdir(tmp_path) == ["video.mp4"]
    assert path.read_bytes() == b"old"


def test_bad_names_are_refused(tmp_path):
    for name in ("video.avi", "video", "video.png"):
        with pytest.raises(InputError, match="ends in"):
            encode([patches()], tmp_path / name)
    with pytest.raises(InputError, match="folder"):
        encode([patches()], tmp_path / "no" / "video.mp4")
    assert os.listdir(tmp_path) == []


def test_the_poster_stands_beside_the_video(tmp_path):
    assert poster_path("a/video.mp4").as_posix() == "a/video.png"
    picture = patches()[0]
    write_png(picture, tmp_path / "video.png")
    with Image.open(tmp_path / "video.png") as found:
        np.testing.assert_array_equal(np.asarray(found), picture)
