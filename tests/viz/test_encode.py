"""Videos: what is written is what was drawn, in every format, whole or not at all."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from colour_embed import animation as drawing
from colour_embed.config import InputError
from colour_embed.viz.encode import FORMATS, encode, has_poster, poster_path, write_poster

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
    picture, path = patches()[0], tmp_path / "video.png"
    assert has_poster(path)  # there is nothing to lose
    write_poster(picture, path)
    with Image.open(path) as found:
        np.testing.assert_array_equal(np.asarray(found), picture)
    assert has_poster(path)
    Image.fromarray(picture).save(path)
    assert not has_poster(path)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (30.0, 30),
        (29.97, Fraction(2997, 100)),
        (np.float32(12.5), Fraction(25, 2)),
        (np.int64(7), 7),
        (Fraction(1, 3), Fraction(1, 3)),
        (1000, 1000),
        (0.01, Fraction(1, 100)),
    ],
)
def test_a_rate_need_not_be_whole(tmp_path, fps, rate):
    encode([patches()], tmp_path / "video.mp4", fps=fps)
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert container.streams.video[0].average_rate == rate


@pytest.mark.parametrize("fps", [np.nan, 0, -30, True, "30", [30]])
def test_a_rate_that_is_none_is_refused(tmp_path, fps):
    with pytest.raises(InputError, match=r"fps is .*0\.01 to 1000"):
        encode([patches()], tmp_path / "video.mp4", fps=fps)
    assert os.listdir(tmp_path) == []


def delays(path):
    """Return the delays of a moving picture's frames, milliseconds, and their first pixels."""
    with Image.open(path) as picture:
        frames = []
        for place in range(picture.n_frames):
            picture.seek(place)
            frames.append((picture.info["duration"], picture.convert("RGB").getpixel((0, 0))))
    return [list(values) for values in zip(*frames)]


@pytest.mark.parametrize(("fps", "first"), [(50, [20, 20, 20, 20]), (30, [30, 40, 30, 30])])
def test_delays_of_a_gif_add_up_to_its_length(tmp_path, fps, first):
    encode([patches(frames=30)], tmp_path / "moving.gif", fps=fps)
    found, _ = delays(tmp_path / "moving.gif")
    assert found[:4] == first
    assert sum(found) == pytest.approx(30_000 / fps, abs=10)


@pytest.mark.parametrize("ending", [".gif", ".apng"])
@pytest.mark.parametrize(("fps", "kept"), [(100, 5), (60, 8), (51, 9), (1000, 1)])
def test_pictures_of_more_than_50_frames_a_second_leave_some_out(tmp_path, ending, fps, kept):
    path = tmp_path / f"fast{ending}"
    levels = np.arange(9, dtype=np.uint8) * 25
    frames = np.broadcast_to(levels[:, None, None, None], (9, 64, 96, 3))
    with pytest.warns(UserWarning, match=f"{fps} frames a second; written at 50"):
        written = encode([frames[:2], frames[:0], frames[2:4], frames[4:]], path, fps=fps)
    found, colours = delays(path)
    assert found == [20] * written
    assert written - kept in (0, 1)  # the last frame is not left out
    assert colours[0] == (0, 0, 0)
    assert np.abs(np.subtract(colours[-1], 200)).max() <= 8
    assert colours == sorted(set(colours))
