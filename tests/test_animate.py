import os

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colour_embed import animate as module
from colour_embed.animate import animate, draw_frames, encode
from colour_embed.config import InputError
from colour_embed.plots import MARKER, style

SMALL = (400, 240)


def training(frames=4, items=30, dim=2, seed=0):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(frames, items, dim)) * np.linspace(0.2, 1, frames)[:, None, None]
    return np.arange(1, frames + 1), embedding, rng.uniform(size=(items, 3))


def pictures(*arrays, size=SMALL, **options):
    return np.concatenate(list(draw_frames(*arrays, size=size, **options)))


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return stream.average_rate, stream.codec_context, np.stack(frames)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_video_decodes_to_the_frames_that_were_drawn(tmp_path, dim, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_BYTES", 3 * 3 * SMALL[0] * SMALL[1])
    arrays = training(frames=8, dim=dim)
    events = []
    path = tmp_path / "video.mp4"
    made = animate(
        *arrays, path, loss=np.linspace(0.7, 0.3, 8), size=SMALL, crf=10, report=events.append
    )
    rate, codec, frames = decoded(path)
    assert (rate, codec.pix_fmt, codec.name) == (30, "yuv420p", "h264")
    assert (codec.width, codec.height) == SMALL == made.size
    assert made.frames == len(frames) == 8
    assert made.path == path
    assert events == [(3, 8), (6, 8), (8, 8)]
    assert os.listdir(tmp_path) == ["video.mp4"]
    drawn = pictures(*arrays, loss=np.linspace(0.7, 0.3, 8)).astype(float)
    # Chroma is halved in both directions, so single pixels differ, and areas do not.
    assert np.abs(frames - drawn).mean() < 3
    assert np.abs((frames - drawn).mean(axis=(1, 2))).max() < 1


def test_the_index_stands_at_the_front(tmp_path):
    path = tmp_path / "video.mp4"
    animate(*training(), path, size=SMALL)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


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


def reference(embedding, rgb, size):
    """Return matplotlib's picture of one frame, with and without its points."""
    low, high = module._limits(embedding[None])
    still, (top, bottom, left, right) = module._flat_still(
        low, high, [("epoch", ["1"])], size, "title"
    )
    width, height = size
    with style():
        figure, canvas = module._canvas(width, height)
        axes = figure.add_axes(
            (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height)
        )
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.scatter(*embedding.T, s=10, c=rgb, **MARKER)
        picture = module._picture(canvas)
    box = np.s_[top : bottom - 1, left + 1 : right]
    return picture[box].astype(int), still.picture[box].astype(int), box


@pytest.mark.parametrize("grey", [False, True])
def test_markers_look_as_matplotlib_draws_them(grey):
    epoch, embedding, rgb = training(frames=1, items=646)
    if grey:  # almost white and almost black
        rgb = np.random.default_rng(1).choice([0.0, 0.02, 0.98, 1.0], size=(646, 1)).repeat(3, 1)
    ours = pictures(epoch, embedding, rgb, size=(1000, 500), title="title")[0]
    theirs, blank, box = reference(embedding[0], rgb, (1000, 500))
    ours = ours[box].astype(int)
    touched = ((ours != blank) | (theirs != blank)).any(axis=2)
    difference = np.abs(ours - theirs)[touched]
    assert touched.sum() > 10_000
    assert difference.mean() <= 3  # the bar is 8
    assert np.percentile(difference, 99) <= 20  # the bar is 64
    assert ours.min(axis=2)[touched].min() < 230  # white items keep their edge


def test_limits_come_from_the_last_frame():
    epoch, embedding, rgb = training(frames=3)
    larger = embedding.copy()
    larger[0] *= 50
    ours, theirs = pictures(epoch, embedding, rgb), pictures(epoch, larger, rgb)
    np.testing.assert_array_equal(ours[1:], theirs[1:])
    assert (ours[0] != theirs[0]).any()


@pytest.mark.parametrize("far", [1.0, 1.06, 1e3, 1e30])
@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1)])
def test_points_outside_the_axes_paint_nothing_outside(far, direction):
    epoch, embedding, rgb = training(frames=2)
    embedding[1, 0], embedding[1, 1] = -1, 1
    embedding[1, 2:] = np.clip(embedding[1, 2:], -1, 1)
    embedding[0] = np.multiply(direction, far)
    frame = pictures(epoch, embedding, rgb)[0]
    low, high = module._limits(embedding)
    title = "Training of the 2-D colour embedding"
    counters = [("epoch", ["1", "2"])]
    still, (top, bottom, left, right) = module._flat_still(low, high, counters, SMALL, title)
    blank = np.empty((1, *frame.shape), np.uint8)
    still.fill(blank, 0)
    changed = (frame != blank[0]).any(axis=2)
    assert changed[top : bottom - 1, left + 1 : right].any() == (far < 1.08)
    changed[top : bottom - 1, left + 1 : right] = False
    assert not changed.any()


def test_a_later_item_is_drawn_over_an_earlier_one():
    epoch, embedding, _ = training(frames=1, items=4)
    embedding[0, 2:] = embedding[0, 1]
    red, blue = (1.0, 0, 0), (0, 0, 1.0)
    frame = pictures(epoch, embedding, np.array([red, red, red, blue]))[0].astype(int)
    pure = frame[40:-57, 81:-20]
    assert (pure == (0, 0, 255)).all(axis=2).any()
    assert (pure == (255, 0, 0)).all(axis=2).any()  # item 0 alone


@pytest.mark.parametrize("near_is_last", [False, True])
def test_in_three_dimensions_a_near_point_hides_a_far_one(near_is_last):
    camera = module._camera(1)[0][0]
    towards = camera / np.linalg.norm(camera)
    cube = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    # Both on the ray through the middle, so that they fall on the same pixels.
    pair = np.stack([0.3 * towards, -0.3 * towards])
    colours = np.array([(1.0, 0, 0), (0, 0, 1.0)])  # near is red
    if near_is_last:
        pair, colours = pair[::-1], colours[::-1]
    embedding = np.concatenate([cube, pair])[None]
    rgb = np.concatenate([np.ones((8, 3)), colours])
    frame = pictures([1], embedding, rgb)[0].astype(int)
    red = (frame[..., 0] - frame[..., 2] > 100).sum()
    blue = (frame[..., 2] - frame[..., 0] > 100).sum()
    assert red >= 9
    assert blue == 0


def test_in_three_dimensions_far_points_are_smaller_and_paler():
    camera = module._camera(1)[0][0]
    towards = camera / np.linalg.norm(camera)
    cube = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)

    def red_at(place):
        embedding = np.concatenate([cube, [place * towards]])[None]
        rgb = np.concatenate([np.ones((8, 3)), [(1.0, 0, 0)]])
        frame = pictures([1], embedding, rgb)[0].astype(int)
        return frame[..., 0] - frame[..., 1]

    near, far = red_at(0.9), red_at(-0.9)
    assert near.sum() > 1.5 * far.sum()
    assert near.max() > far.max() + 20


def test_points_that_pass_the_camera_are_left_out():
    epoch, embedding, rgb = training(frames=2, dim=3)
    outside = embedding.copy()
    outside[0] *= 1e4
    for_comparison = pictures(epoch, outside, rgb)
    np.testing.assert_array_equal(for_comparison[1], pictures(epoch, embedding, rgb)[1])


def test_the_camera_circles_once_and_the_video_loops():
    towards = module._camera(8)[0] / module._DISTANCE
    turn = np.diff(np.unwrap(np.arctan2(towards[:, 1], towards[:, 0])))
    np.testing.assert_allclose(turn, 2 * np.pi / 8)
    assert np.rad2deg(np.arctan2(towards[0, 1], towards[0, 0])) == pytest.approx(-60)


@pytest.mark.parametrize("dim", [2, 3])
def test_frames_do_not_depend_on_the_chunk_and_repeat_exactly(dim, monkeypatch):
    arrays = training(frames=5, dim=dim)
    before = [array.copy() for array in arrays]
    whole = pictures(*arrays)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 1)
    single = list(draw_frames(*arrays, size=SMALL))
    assert [len(chunk) for chunk in single] == [1] * 5
    np.testing.assert_array_equal(whole, np.concatenate(single))
    for array, copy in zip(arrays, before):
        np.testing.assert_array_equal(array, copy)


@settings(max_examples=8, deadline=None)
@given(st.integers(-40, 40), st.integers(-40, 40), st.integers(-3, 3), st.sampled_from([2, 3]))
def test_moving_or_scaling_everything_moves_nothing_in_the_picture(across, along, power, dim):
    epoch, embedding, rgb = training(frames=2, items=20, dim=dim)
    # Dyadic numbers, so that the change of units is exact.
    embedding = np.round(embedding * 16) / 16
    moved = (embedding + np.array([across, along, across][:dim])) * 2.0**power

    def points(embedding):
        frames = pictures(epoch, embedding, rgb)
        return frames[:, 40:-57, 81:-20] if dim == 2 else frames

    np.testing.assert_array_equal(points(embedding), points(moved))


def test_the_counter_names_epoch_and_loss_and_does_not_jump():
    loss = np.linspace(12, 0.3, 120)
    parts = module._counter(np.array([0, 7, 120]), loss)
    assert parts == [
        ("epoch", ["  0", "  7", "120"]),
        ("loss", ["      –", "11.4101", " 0.3000"]),
    ]
    strips = module._counter_strips(parts, 11).astype(int)
    same = (strips == strips[0]).all(axis=0)
    # The words and the last digits' places stand still.
    assert same[:, :40].all()
    assert (strips[1] != strips[2]).any()


@pytest.mark.parametrize("dim", [2, 3])
def test_one_item_in_one_frame_is_enough(dim):
    frames = pictures([0], np.zeros((1, 1, dim)), [(0.1, 0.2, 0.9)], loss=[])
    assert frames.shape == (1, SMALL[1], SMALL[0], 3)
    frame = frames[0].astype(int)
    assert ((frame[..., 2] - frame[..., 0]) > 60).sum() >= 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding": np.zeros((4, 30, 1))}, "1 dimension,"),
        ({"embedding": np.zeros((4, 30, 5))}, "5 dimensions.*principal"),
        ({"embedding": np.zeros((30, 2))}, r"shape \(30, 2\)"),
        ({"embedding": np.zeros((0, 30, 2))}, "shape"),
        ({"embedding": np.full((4, 30, 2), np.nan)}, "epoch 1 is not finite"),
        ({"epoch": [1, 2, 3]}, "epoch"),
        ({"epoch": [1.0, 2, 3, 4]}, "whole number"),
        ({"epoch": [-1, 2, 3, 4]}, "0 or more"),
        ({"rgb": np.zeros((29, 3))}, r"\[30, 3\]"),
        ({"rgb": np.full((30, 3), 255)}, "divide"),
        ({"loss": [0.5, 0.4]}, "up to 4"),
        ({"size": (401, 240)}, "even"),
        ({"size": (100, 100)}, "320"),
        ({"path": "video.gif"}, "mp4"),
        ({"path": "no/such/video.mp4"}, "folder"),
    ],
)
def test_bad_input_is_refused_with_a_mend(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    epoch, embedding, rgb = training()
    given = {"epoch": epoch, "embedding": embedding, "rgb": rgb, "path": "video.mp4"} | change
    with pytest.raises(InputError, match=message) as caught:
        animate(**given)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path):
    def failing():
        yield np.zeros((2, 64, 64, 3), np.uint8)
        raise RuntimeError("halfway")

    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="halfway"):
        encode(module._ahead(failing()), path)
    with pytest.raises(InputError, match="no frames"):
        encode(iter(()), path)
    assert os.listdir(tmp_path) == ["video.mp4"]
    assert path.read_bytes() == b"old"


def test_without_a_path_a_notebook_shows_the_video(tmp_path):
    arrays = training()
    shown = animate(*arrays, size=SMALL)
    assert shown.path is None
    html = shown._repr_html_()
    assert html.startswith('<video width="400" height="240"')
    assert "data:video/mp4;base64," in html
    assert len(repr(shown)) < 200
    written = animate(*arrays, tmp_path / "video.mp4", size=SMALL)
    assert written._repr_html_() == html
