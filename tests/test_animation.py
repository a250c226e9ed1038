import dataclasses
import os
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.linalg
from colour_difference import ciede2000
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from colour_embed import animation as module
from colour_embed.animation import GridLayout, animate, animate_grid, draw_frames, interpolate
from colour_embed.config import Config, InputError
from colour_embed.data import load_colours
from colour_embed.evaluate.cielab import srgb_to_lab
from colour_embed.evaluate.geometry import align, principal_axes
from colour_embed.heads import HEADS
from colour_embed.io import run_folder
from colour_embed.runs import SweepResult
from colour_embed.viz import overlay, raster
from colour_embed.viz.style import MARKER, SHAPES, ItemLooks, Look, item_looks, style

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
    assert [event[:2] for event in events] == [(3, 8), (6, 8), (8, 8)]
    assert sorted(os.listdir(tmp_path)) == ["video.mp4", "video.png"]
    drawn = pictures(*arrays, loss=np.linspace(0.7, 0.3, 8)).astype(float)
    # Chroma is halved in both directions, so single pixels differ, and areas do not.
    assert np.abs(frames - drawn).mean() < 3
    assert np.abs((frames - drawn).mean(axis=(1, 2))).max() < 1


def test_the_index_stands_at_the_front(tmp_path):
    path = tmp_path / "video.mp4"
    animate(*training(), path, size=SMALL)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def reference(embedding, rgb, size):
    """Return matplotlib's picture of one frame, with and without its points."""
    figure, canvas = module._flat_axes(size, BOX, raster.limits(embedding[None]))
    blank = overlay.picture_of(canvas)
    with style():
        area = module._area(item_looks(len(rgb), rgb), size[1], True)
        figure.axes[0].scatter(*embedding.T, s=area, c=rgb, **MARKER)
        picture = overlay.picture_of(canvas)
    box = np.s_[BOX.top : BOX.bottom - 1, BOX.left + 1 : BOX.right]
    return picture[box].astype(int), blank[box].astype(int), box


BOX = raster.Box(40, 444, 80, 980)
"""Of the axes in a picture of 1000 x 500."""


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


def test_markers_in_three_dimensions_look_as_matplotlib_draws_them():
    """The same places and sizes in a flat scatter: its 3-D one has another camera."""
    _, embedding, rgb = training(frames=1, items=646, dim=3)
    size, box = (800, 600), raster.Box(40, 584, 24, 776)
    panel = raster.DeepPanel(embedding, rgb, box)
    panel._edge_weight[:] = 0  # the cube is not what is compared
    frames = np.full((1, size[1], size[0], 3), 255, np.uint8)
    panel.paint(frames, slice(0, 1))
    ours = frames[0].astype(int)

    place, depth = (values[0] for values in panel._place(panel._embedding, panel._axes))
    far_first = np.argsort(-depth, kind="stable")
    place, depth, colour = place[far_first], depth[far_first], rgb[far_first]
    depth = np.clip(depth, raster._DISTANCE - 1.5, raster._DISTANCE + 1.5)
    figure, canvas = overlay.new_canvas(*size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    axes.axis("off")
    axes.scatter(
        place[:, 1] + box.left,
        place[:, 0] + box.top,
        s=10 * (raster._DISTANCE / depth) ** 2,
        c=colour,
        **MARKER,
    )
    theirs = overlay.picture_of(canvas).astype(int)
    touched = ((ours != 255) | (theirs != 255)).any(axis=2)
    difference = np.abs(ours - theirs)[touched]
    assert touched.sum() > 8_000
    assert difference.mean() <= 8
    assert np.percentile(difference, 99) <= 64


def test_limits_come_from_the_last_frame():
    epoch, embedding, rgb = training(frames=3)
    larger = embedding.copy()
    larger[0] *= 50
    ours, theirs = (pictures(epoch, x, rgb, toward=None) for x in (embedding, larger))
    np.testing.assert_array_equal(ours[1:], theirs[1:])
    assert (ours[0] != theirs[0]).any()


@pytest.mark.parametrize("far", [1.0, 1.06, 1e3, 1e30])
@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1)])
def test_points_outside_the_axes_paint_nothing_outside(far, direction):
    epoch, embedding, rgb = training(frames=2)
    embedding[1, 0], embedding[1, 1] = -1, 1
    embedding[1, 2:] = np.clip(embedding[1, 2:], -1, 1)
    embedding[0] = np.multiply(direction, far)
    frame = pictures(epoch, embedding, rgb, toward=None)[0]
    scene = module._scene(
        epoch, embedding, rgb, loss=None, toward=None, at=None, curve=False, size=SMALL, title=None
    )
    blank = scene.still[None].copy()
    scene.painters[0].paint(blank, slice(0, 1))  # the counter
    changed = (frame != blank[0]).any(axis=2)
    box = raster.Box(40, SMALL[1] - 56, 80, SMALL[0] - 20)
    inside = np.s_[box.top : box.bottom - 1, box.left + 1 : box.right]
    assert changed[inside].any() == (far < 1.08)
    changed[inside] = False
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
    camera = raster._camera(1)[0][0]
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


def test_in_three_dimensions_far_points_are_smaller_and_as_vivid():
    camera = raster._camera(1)[0][0]
    towards = camera / np.linalg.norm(camera)
    cube = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)

    def red_at(place):
        embedding = np.concatenate([cube, [place * towards]])[None]
        rgb = np.concatenate([np.ones((8, 3)), [(1.0, 0, 0)]])
        frame = pictures([1], embedding, rgb)[0].astype(int)
        return frame[..., 0] - frame[..., 1]

    near, far = red_at(0.9), red_at(-0.9)
    assert near.sum() > 1.5 * far.sum()
    assert near.max() == far.max() == 255


def test_the_names_of_the_axes_are_whole_from_every_side():
    frames, size, box = 90, (640, 360), raster.Box(40, 344, 24, 616)
    _, embedding, rgb = training(frames=frames, items=5, dim=3)
    names = overlay.strips_of(["$x_0$", "$x_1$", "a long name"], 12)
    panel = raster.DeepPanel(embedding, rgb, box, names=names)
    drawn = np.full((frames, size[1], size[0], 3), 255, np.uint8)
    panel.paint(drawn, slice(0, frames))
    inside = drawn[box.slices]
    for edge in (inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1]):
        assert edge.min() == 255
    assert inside.min() < 100


def test_points_that_pass_the_camera_are_left_out():
    epoch, embedding, rgb = training(frames=2, dim=3)
    outside = embedding.copy()
    outside[0] *= 1e4
    ours, theirs = (pictures(epoch, x, rgb, toward=None) for x in (embedding, outside))
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_the_camera_circles_once_and_the_video_loops():
    towards = raster._camera(8)[0] / raster._DISTANCE
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
        # Unturned: what a turn computes is not exact.
        frames = pictures(epoch, embedding, rgb, toward=None)
        return frames[:, 40:-57, 81:-20] if dim == 2 else frames

    np.testing.assert_array_equal(points(embedding), points(moved))


def test_the_counter_names_epoch_and_loss_and_does_not_jump():
    loss = np.linspace(12, 0.3, 120)
    parts = overlay._counter(np.array([0, 7, 120]), loss)
    assert parts == [
        ("epoch", ["  0", "  7", "120"]),
        ("loss", ["      –", "11.4101", " 0.3000"]),
    ]
    strips = overlay._counter_strips(parts, 11).astype(int)
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
        ({"embedding": np.zeros((30, 2))}, r"shape \(30, 2\)"),
        ({"embedding": np.zeros((0, 30, 2))}, "shape"),
        ({"embedding": np.full((4, 30, 2), np.nan)}, "epoch 1 is not finite"),
        ({"epoch": [1, 2, 3]}, "epoch"),
        ({"epoch": [1.0, 2, 3, 4]}, "whole number"),
        ({"epoch": [-1, 2, 3, 4]}, "0 or more"),
        ({"rgb": np.zeros((29, 3))}, r"\[30, 3\]"),
        ({"rgb": np.full((30, 3), 255)}, "divide"),
        ({"rgb": ["a"] * 29}, r"shape \(29,\).*groups of the items, \[30\]"),
        ({"rgb": ["a"] * 30, "toward": "rgb"}, "the items have no colours"),
        ({"rgb": None, "toward": "rgb"}, "the items have no colours"),
        ({"loss": [0.5, 0.4]}, "up to 4"),
        ({"size": (401, 240)}, "even"),
        ({"size": (100, 100)}, "320"),
        ({"size": (16386, 240)}, "at most 16384"),
        ({"path": "video.avi"}, "mp4, .webm, .gif, .apng"),
        ({"path": "video"}, "mp4"),
        ({"epoch": [1, 2, 2, 4]}, "ascending"),
        ({"epoch": [4, 3, 2, 1]}, "ascending"),
        ({"toward": "first"}, "'first'"),
        ({"at": []}, "at has shape"),
        ({"at": [0.5]}, "within 1 to 4"),
        ({"at": [1, np.nan]}, "within 1 to 4"),
        ({"curve": True}, "no loss to draw"),
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


@pytest.mark.parametrize("dim", [2, 3])
def test_snapshots_are_turned_toward_the_last_or_toward_rgb(dim):
    """The points that are drawn, against SciPy's Procrustes of each snapshot."""
    epoch, embedding, rgb = training(frames=5, dim=dim)
    for toward, target in (("last", embedding[-1]), ("rgb", principal_axes(rgb, dim))):
        expected = []
        for snapshot in embedding:
            centred, goal = snapshot - snapshot.mean(0), target - target.mean(0)
            turn = scipy.linalg.orthogonal_procrustes(centred, goal)[0]
            expected.append(centred @ turn + target.mean(0))
        ours = pictures(epoch, embedding, rgb, toward=toward)
        by_hand = pictures(epoch, np.stack(expected), rgb, toward=None)
        # Rounding may move a marker by a fraction of a pixel, and no more.
        assert (np.abs(ours.astype(int) - by_hand).max(axis=3) > 40).mean() < 1e-3
        if toward == "last":
            turned = np.linalg.qr(np.random.default_rng(1).normal(size=(dim, dim)))[0]
            moved = embedding.copy()
            moved[:-1] = moved[:-1] @ turned + 7
            again = pictures(epoch, moved, rgb)
            assert (np.abs(ours.astype(int) - again).max(axis=3) > 40).mean() < 1e-3


def test_interpolation_is_that_of_each_coordinate():
    rng = np.random.default_rng(0)
    epoch, snapshots = np.array([0, 1, 4, 10]), rng.normal(size=(4, 3, 2))
    at = np.array([0, 0.25, 1, 3.5, 9.9, 10])
    found = interpolate(epoch, snapshots, at)
    for item in range(3):
        for axis in range(2):
            expected = np.interp(at, epoch, snapshots[:, item, axis])
            np.testing.assert_allclose(found[:, item, axis], expected, rtol=1e-12)
    np.testing.assert_array_equal(interpolate([3], snapshots[:1], [3, 3]), snapshots[[0, 0]])


def test_frames_between_snapshots_lie_between_them():
    epoch, embedding, rgb = training(frames=3)
    whole = pictures(epoch, embedding, rgb)
    between = pictures(epoch, embedding, rgb, at=[1, 1.5, 2, 3])
    np.testing.assert_array_equal(between[[0, 2, 3]], whole)
    assert (between[1] != between[0]).any()
    assert (between[1] != between[2]).any()


@pytest.mark.parametrize("dim", [2, 3])
def test_the_mark_moves_along_the_curve_of_the_losses(dim):
    epoch, embedding, rgb = training(frames=5, dim=dim)
    loss = np.linspace(0.7, 0.3, 5)
    frames = pictures(epoch, embedding, rgb, loss=loss, curve=True, size=(640, 480)).astype(int)
    strip = frames[:, -90:-44]
    dark = (strip.max(axis=3) < 60).astype(float)
    moving = dark * (np.ptp(dark, axis=0) > 0)
    total = moving.sum(axis=(1, 2))
    assert (total > 20).all()  # a dot in every frame
    column = (moving.sum(axis=1) * np.arange(640)).sum(axis=1) / total
    row = (moving.sum(axis=2) * np.arange(46)).sum(axis=1) / total
    assert (np.diff(column) > 20).all()  # to the right
    assert (np.diff(row) > 2).all()  # and down, as the loss falls
    np.testing.assert_allclose(np.diff(column), np.diff(column).mean(), atol=3)


def test_epochs_without_a_loss_have_no_dot():
    epoch, embedding, rgb = training(frames=3)
    loss = np.array([0.5, np.nan, np.nan])
    frames = pictures(epoch - 1, embedding, rgb, loss=loss, curve=True, size=(640, 480))
    assert len(frames) == 3


def made_of(members, frames=6, items=40):
    """Return a sweep with snapshots of these members, whose embeddings are random."""
    rng = np.random.default_rng(0)
    growth = np.linspace(0.2, 1, frames)[:, None, None]
    snapshots = rng.normal(size=(len(members), 1, items, max(one.dim for one in members))) * growth
    for place, member in enumerate(members):
        snapshots[place, :, :, member.dim :] = 0
    loss = np.linspace(0.7, 0.3, len(members) * frames).reshape(len(members), frames)
    return SweepResult(
        config=members[0],
        members=members,
        embedding=snapshots[:, -1],
        kernel=np.array([HEADS[one.head].weight(-1.0, np) for one in members]),
        bias=np.zeros(len(members)),
        initial_kernel=np.zeros(len(members)),
        loss=loss,
        mse=loss,
        diverged=np.zeros(len(members), int),
        epoch=np.arange(frames),
        snapshots=snapshots,
    )


GRID = [Config(seed=seed, dim=dim) for dim in (1, 2, 3, 4) for seed in (5, 8)]
COLOURS = np.random.default_rng(1).uniform(size=(40, 3))


def test_a_grid_shows_every_member_in_its_place(tmp_path):
    path = tmp_path / "grid.mp4"
    made = animate_grid(made_of(GRID), COLOURS, path, panel=120, crf=10)
    assert made.frames == 6
    frames = decoded(path)[2].astype(int)
    layout = GridLayout.of(GRID, 120)
    assert made.size == layout.size == frames.shape[2:0:-1]
    for member, box in zip(GRID, layout.boxes):
        panel = frames[box.slices]
        coloured = np.ptp(panel, axis=3) > 25  # small points lose colour in the encoding
        assert coloured.any(axis=(1, 2)).all(), f"{member} is empty"
        assert (np.abs(panel[0] - panel[-1]) > 60).any(), f"{member} does not move"
    with Image.open(tmp_path / "grid.png") as poster:
        assert poster.size == layout.size


def test_members_that_failed_are_in_the_grid_with_a_reason():
    sweep = made_of(GRID)
    sweep.kernel[2], sweep.diverged[5] = 0.4, 3
    sweep.snapshots[5, 3:] = np.nan
    sweep.loss[5, 2:] = np.nan
    failures = module._failures(sweep, sweep.members)
    assert failures == ["", "", "sign trap", "", "", "diverged in epoch 3", "", ""]
    frames = module._grid_frames(sweep, sweep.members, COLOURS, sweep.epoch)
    assert all(np.isfinite(embedding).all() for embedding in frames)
    np.testing.assert_array_equal(frames[5][2], frames[5][5])  # it stands still
    assert (frames[4][2] != frames[4][5]).any()
    animate_grid(sweep, COLOURS)


@pytest.mark.parametrize("head", HEADS)
def test_the_head_says_which_members_are_in_the_sign_trap(head):
    """A parameter of 2 and of -2: the weight of matched and dot is positive in both cases."""
    sweep = made_of([Config(head=head, seed=seed) for seed in range(2)])
    sweep.kernel[:] = [HEADS[head].weight(parameter, np) for parameter in (2.0, -2.0)]
    trapped = {"free": ["sign trap", ""], "inverse": ["", "sign trap"]}.get(head, ["", ""])
    assert module._failures(sweep, sweep.members) == trapped


def test_members_of_a_dimension_are_turned_toward_the_best_one():
    sweep = made_of([Config(seed=1), Config(seed=2)])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    sweep.snapshots[1, :, :, :2] = sweep.snapshots[0, :, :, :2] @ turn
    first, second = module._grid_frames(sweep, sweep.members, COLOURS, sweep.epoch)
    np.testing.assert_allclose(first, second, atol=1e-9)
    known = principal_axes(COLOURS, 2)
    np.testing.assert_allclose(align(first[-1], known), first[-1] + known.mean(0), atol=1e-6)


def grid(seeds, dims, **axis):
    ((name, values),) = axis.items() or (("head", ["free"]),)
    return [
        Config(seed=seed, dim=dim, **{name: value})
        for dim in range(2, 2 + dims)
        for seed in range(seeds)
        for value in values
    ]


@pytest.mark.parametrize(
    ("members", "panel", "columns", "lines"),
    [
        (grid(2, 4), 160, 2, 4),
        (grid(32, 4), 119, 32, 4),  # they shrink
        (grid(100, 1), 160, 20, 5),  # and wrap
        (grid(300, 2), 108, 34, 18),
        (grid(2, 32), 119, 2, 32),
        (grid(16, 2, learning_rate=[1e-3, 3e-3]), 160, 16, 4),
        (grid(1500, 1), 64, 56, 27),
    ],
)
def test_panels_shrink_and_wrap_so_that_players_can_show_them(members, panel, columns, lines):
    layout = GridLayout.of(members)
    assert (layout.panel, layout.columns) == (panel, columns)
    assert len({box.top for box in layout.boxes}) == lines
    width, height = layout.size
    assert max(layout.size) <= 4096
    assert width * height <= 4096 * 2304
    assert width % 2 == height % 2 == 0
    taken = np.zeros((height, width), int)
    for top, bottom, left, right in layout.boxes:
        assert bottom - top == right - left == panel
        taken[top:bottom, left:right] += 1
    assert taken.max() == 1
    assert taken.sum() == len(members) * panel**2  # none is cut
    assert len(set(zip(layout.seeds, layout.rows))) == len(members)  # no two have one title


def test_a_wide_grid_is_encoded(tmp_path):
    members = grid(99, 1)
    made = animate_grid(made_of(members, frames=2, items=3), COLOURS[:3], tmp_path / "wide.mp4")
    frames = decoded(tmp_path / "wide.mp4")[2]
    assert made.size == frames.shape[2:0:-1] == GridLayout.of(members).size


def test_rows_are_named_by_what_members_do_not_share():
    members = [
        Config(seed=1, dim=dim, initial_scale=scale, head=head)
        for dim in (3, 2)
        for scale in (0.05, 0.5)
        for head in ("free", "dot")
    ]
    layout = GridLayout.of(members)
    assert layout.rows[0] == "d = 3\nhead free\ninitial scale 0.05"
    assert set(layout.seeds) == {"seed 1"}
    by_height = [layout.rows[place] for place in np.argsort([box.top for box in layout.boxes])]
    assert [row[:5] for row in by_height] == ["d = 2"] * 4 + ["d = 3"] * 4
    # The panels of one dimension have a second axis, which is named.
    rows = GridLayout.of([Config(dim=1), Config(dim=2)]).rows
    assert rows == ["d = 1\nheight:\nlightness", "d = 2"]


def test_members_that_do_not_fit_are_refused_with_the_number_that_does():
    for members, most in ((grid(5000, 1), 1512), (grid(1, 99), 57)):
        with pytest.raises(InputError, match=f"at most {most}$"):
            GridLayout.of(members)
        assert len(GridLayout.of(members[:most]).boxes) == most
        with pytest.raises(InputError, match=f"at most {most}$"):
            GridLayout.of(members[: most + 1])


def test_a_grid_without_snapshots_or_with_two_in_one_place_is_refused():
    empty = dataclasses.replace(made_of(GRID), snapshots=np.zeros((0, 6, 40, 4)))
    with pytest.raises(InputError, match="kept no snapshots"):
        animate_grid(empty, COLOURS)
    with pytest.raises(InputError, match="share a place"):
        animate_grid(made_of([Config(), Config()]), COLOURS)
    with pytest.raises(InputError, match="panel is 63"):
        animate_grid(made_of(GRID), COLOURS, panel=63)


# Files


@pytest.mark.parametrize("fps", [0, -1, np.nan, np.inf, True, "30", None, 1001, 1e-3, 1j])
def test_a_rate_that_is_none_is_refused_before_anything_is_drawn(fps, tmp_path):
    with pytest.raises(InputError, match="fps is"):
        animate(*training(), tmp_path / "video.mp4", size=SMALL, fps=fps)
    with pytest.raises(InputError, match="fps is"):
        animate_grid(made_of(GRID), COLOURS, fps=fps)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dim", [2, 3])
def test_a_gif_of_many_items_that_start_as_a_heap_keeps_their_colours(tmp_path, dim):
    """646 items, of which the first frame shows few."""
    epoch, embedding, rgb = training(frames=3, items=646, dim=dim)
    embedding[0] *= 1e-3
    animate(epoch, embedding, rgb, tmp_path / "run.gif", toward=None)
    true = pictures(epoch, embedding, rgb, toward=None, size=module.SIZE)[-1].astype(int)
    with Image.open(tmp_path / "run.gif") as picture:
        picture.seek(2)
        found = np.asarray(picture.convert("RGB")).astype(int)
    vivid = np.ptp(true, axis=2) > 40
    off = np.abs(found - true).max(axis=2)
    assert off[vivid].mean() <= 16
    assert (off[vivid] > 40).mean() <= 0.02
    assert off[(true < 255).any(axis=2)].mean() <= 12


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [  # of the paper's table
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_colour_difference_is_that_of_the_paper(one, other, difference):
    assert ciede2000([one], [other]) == pytest.approx(difference, abs=1e-4)


TUTORIAL = Path(__file__).parents[1] / "results" / "tutorial"


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize("name", ["2d", "3d"])
def test_points_that_none_covers_keep_their_colours_in_the_video(tmp_path, name, suffix):
    epoch, snapshots, _ = run_folder.read_snapshots(TUTORIAL / f"snapshots_{name}.npz")
    rgb, few = load_colours().rgb, np.arange(60, len(epoch), 25)
    animate(epoch[few], snapshots[few], rgb, tmp_path / f"video{suffix}", poster=False)
    frames = decoded(tmp_path / f"video{suffix}")[2]
    about = dict.fromkeys(("loss", "at", "size", "title")) | {"toward": "last", "curve": False}
    panel = module._scene(epoch[few], snapshots[few], rgb, **about).painters[1]
    differences = []
    for k, frame in enumerate(frames):
        if name == "2d":
            place, nearest = np.stack([panel._row[k], panel._column[k]], axis=1), 1.0
        else:
            place, depth = panel._place(panel._embedding[k : k + 1], panel._axes[k : k + 1])
            place, nearest = place[0], raster._DISTANCE / depth.min()
        place += panel._box.top, panel._box.left
        diameter = nearest * module._SHARE[name == "2d"] * module.SIZE[1] + 1
        apart = np.hypot(*(place[:, None] - place).transpose(2, 0, 1))
        np.fill_diagonal(apart, np.inf)
        inside = (place > diameter).all(axis=1) & (place[:, 0] < panel._box.bottom - diameter)
        alone = inside & (apart.min(axis=1) > diameter)
        seen = frame[tuple(place[alone].astype(int).T)] / 255
        differences.append(ciede2000(srgb_to_lab(rgb[alone]), srgb_to_lab(seen)))
    differences = np.concatenate(differences)
    assert len(differences) > 50
    assert np.median(differences) <= 3
    assert np.quantile(differences, 0.95) <= 8


def test_a_video_has_the_same_bytes_again(tmp_path):
    contents = set()
    for name in ("one.mp4", "two.mp4"):
        animate(*training(frames=12, items=646), tmp_path / name)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1


def test_a_picture_of_something_else_is_no_poster_and_is_kept(tmp_path):
    main = tmp_path / "main.png"
    Image.new("RGB", (2, 3)).save(main)
    before = main.read_bytes()
    with pytest.warns(UserWarning, match=r"main\.png: is no poster.*poster=False") as said:
        animate(*training(), tmp_path / "main.mp4", size=SMALL)
    assert len(said) == 1
    assert main.read_bytes() == before
    animate(*training(), tmp_path / "main.webm", size=SMALL, poster=False)
    for _ in range(2):  # one's own poster is written anew
        animate(*training(), tmp_path / "other.mp4", size=SMALL)
        with Image.open(tmp_path / "other.png") as poster:
            assert poster.size == SMALL
    main.write_text("no picture")
    with pytest.warns(UserWarning, match="is no poster"):
        animate(*training(), tmp_path / "main.mp4", size=SMALL)
    assert main.read_text() == "no picture"


def test_a_poster_goes_where_its_link_leads(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "run.png").symlink_to(tmp_path / "shared" / "poster.png")
    for _ in range(2):
        animate(*training(), tmp_path / "run.mp4", size=SMALL)
        assert (tmp_path / "run.png").is_symlink()
        assert sorted(os.listdir(tmp_path)) == ["run.mp4", "run.png", "shared"]
        assert os.listdir(tmp_path / "shared") == ["poster.png"]


@pytest.mark.parametrize(
    "title", ["cost $5", "$\\frac$", "\U00012000", "two\nlines", "$a$ and $b$"]
)
def test_a_title_is_text_whatever_it_holds(title):
    pictures(*training(frames=1), title=title)


# Items without colours of their own


def pixels_like(frame, colour, within=20):
    """Return whether each pixel of a frame is close to a colour, such as "#0072B2"."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return (np.abs(frame.astype(int) - wanted) <= within).all(axis=-1)


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_groups_have_the_colours_of_figures_and_a_legend(dim):
    epoch, embedding, _ = training(frames=3, items=28, dim=dim)
    groups = [f"$g{place % 14}$" for place in range(28)]
    frame = pictures(epoch, embedding, groups, size=(800, 600))[-1]
    looks = item_looks(28, groups=groups).looks
    assert len(looks) == 13
    for look in looks:
        found = pixels_like(frame, look.colour)
        assert found[:, 700:].sum() > 10, look  # in the legend
        assert dim > 2 or found[:, :690].sum() > 20, look  # in the panel; in 3-D they are paler
    plain = pictures(epoch, embedding, size=(800, 600))[-1]
    assert pixels_like(plain, item_looks(1).looks[0].colour, 60).sum() > 400
    assert not pixels_like(plain, looks[1].colour).any()


@pytest.mark.parametrize("marker", SHAPES[:8])
def test_markers_of_groups_look_as_matplotlib_draws_them(marker):
    _, embedding, rgb = training(frames=1, items=60)
    rgb[:] = to_rgb("#0072B2")

    def ours(filled):
        looks = ItemLooks(rgb, np.zeros(60, int), [Look("", "#0072B2", marker, filled)])
        picture = np.full((1, 500, 1000, 3), 255, np.uint8)
        raster.FlatPanel(embedding, rgb, BOX, area=60, looks=looks).paint(picture, slice(0, 1))
        return picture[0].astype(int)

    figure, canvas = overlay.new_canvas(1000, 500)
    axes = module._axes_in(figure, (1000, 500), BOX)
    (left, bottom), (right, top) = raster.limits(embedding)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.axis("off")
    # Of a single colour, matplotlib rounds markers to whole pixels.
    look = Look("", "#0072B2", marker).scatter(60) | {"edgecolors": "0.6", "c": rgb}
    with style():
        axes.scatter(*embedding[0].T, **look).set_snap(False)
        theirs = overlay.picture_of(canvas).astype(int)
    filled, hollow = ours(True), ours(False)
    touched = ((filled != 255) | (theirs != 255)).any(axis=2)
    assert touched.sum() > 3000
    assert np.abs(filled - theirs)[touched].mean() <= 5
    # A marker that is not filled has the same outline, and is white inside.
    changed = (hollow != filled).any(axis=2)
    assert changed.sum() > 1000
    assert np.mean(hollow[changed].min(axis=1) > 230) > 0.2
    assert pixels_like(hollow, "#0072B2", 60).sum() > 500


def test_groups_are_drawn_alike_in_whatever_they_come():
    epoch, embedding, _ = training()
    groups = [["a", "b", ""][place % 3] for place in range(30)]
    told = pictures(epoch, embedding, groups)
    for other in (np.array(groups), np.array(groups, object), [one or None for one in groups]):
        np.testing.assert_array_equal(pictures(epoch, embedding, other), told)
    assert (pictures(epoch, embedding, groups[::-1]) != told).any()


@pytest.mark.parametrize("dim", [4, 16])
def test_of_many_dimensions_the_principal_axes_of_the_last_snapshot_are_shown(dim):
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(5, 30, 3)) * (3, 2, 1)
    plain -= plain.mean(axis=1, keepdims=True)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    embedding = np.pad(plain, ((0, 0), (0, 0), (0, dim - 3))) @ turn + 5
    shown, share = module._projected(embedding)
    assert share == pytest.approx(1)
    for ours, truth in zip(shown, plain, strict=True):  # no distance is lost
        np.testing.assert_allclose(align(ours, truth), truth, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.corrcoef(shown[-1].T) - np.eye(3)), 0, atol=1e-9)


def test_steps_are_called_steps():
    epoch, embedding, rgb = training()
    texts = overlay._counter(np.array([3, 20]), np.full(20, 0.5), "step")
    assert texts == [("step", [" 3", "20"]), ("loss", ["0.5000", "0.5000"])]
    named = pictures(epoch, embedding, rgb, unit="step")
    assert (named != pictures(epoch, embedding, rgb)).any(axis=(0, 2, 3))[:40].any()


def test_a_grid_needs_colours():
    with pytest.raises(InputError, match=r"give \[items, 3\]"):
        animate_grid(made_of([Config(seed=0)]), ["a"] * 40)
