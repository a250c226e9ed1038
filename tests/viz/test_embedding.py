import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from colour_embed.viz.embedding import (
    OTHER,
    group_colours,
    plot_embedding,
    plot_items,
    plot_members,
    plot_moments,
)
from colour_embed.viz.style import DOUBLE_COLUMN, SINGLE_COLUMN, item_looks, legible, save_figure

pytestmark = pytest.mark.usefixtures("nothing_left_open")


@pytest.fixture
def snapshots(rgb):
    epoch = np.unique((np.linspace(0, 499**0.5, 60) ** 2).astype(int))
    epoch[-1] = 500
    growth = 0.05 + 2 * (1 - np.exp(-epoch / 30))

    def make(dim):
        flat = np.random.default_rng(1).uniform(-1, 1, size=(len(rgb), dim))
        return epoch, (growth[:, None, None] * flat).astype(np.float16)

    return make


def test_embedding_shows_each_item_in_its_colour(rgb):
    ax = plot_embedding(rgb[:, :2] * 4, rgb, title="colours")
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_offsets(), rgb[:, :2] * 4)
    np.testing.assert_allclose(points.get_facecolors()[:, :3], rgb)
    np.testing.assert_allclose(points.get_facecolors()[:, 3], 1)
    np.testing.assert_allclose(points.get_edgecolors()[0, :3], to_rgb("0.6"))
    np.testing.assert_allclose(points.get_linewidths(), 0.3)
    np.testing.assert_allclose(points.get_sizes(), 20)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("$x_0$", "$x_1$", "colours")
    assert ax.get_aspect() == "auto"
    assert plot_embedding(rgb[:, :2], rgb, equal=True).get_aspect() == 1


def test_every_point_lies_within_the_limits(rgb):
    ax = plot_embedding(rgb[:, :2] * 4, rgb)
    for values, (low, high) in zip(rgb[:, :2].T * 4, (ax.get_xlim(), ax.get_ylim())):
        assert low < values.min() < values.max() < high


def test_embedding_3d_keeps_true_colours_and_the_view(rgb):
    ax = plot_embedding(rgb * 2, rgb)
    ax.figure.draw_without_rendering()  # where shading by depth would happen
    (points,) = ax.collections
    drawn = np.unique(points.get_facecolors()[:, :3].round(6), axis=0)
    np.testing.assert_allclose(drawn, np.unique(rgb.round(6), axis=0))
    np.testing.assert_allclose(np.sort(points._offsets3d, axis=1), np.sort(rgb.T * 2, axis=1))
    assert (ax.azim, ax.elev) == (-60, 20)
    labels = (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel())
    assert labels == ("$x_0$", "$x_1$", "$x_2$")


def test_labels_of_3d_axes_stay_on_the_page(snapshots, rgb, tmp_path):
    sheet = plot_moments(*snapshots(3), rgb)
    for figure in (sheet, plot_embedding(rgb, rgb).figure):
        save_figure(figure, tmp_path / "deep", formats=["png"])
        for ax in figure.axes:
            for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
                box = axis.label.get_window_extent()
                assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
                assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("dim", [2, 3])
def test_moments_spread_over_the_training(snapshots, rgb, dim):
    epoch, embedding = snapshots(dim)
    loss = 0.33 + 0.3 / np.arange(1, 501)
    figure = plot_moments(epoch, embedding, rgb, loss=loss)
    titles = [ax.get_title() for ax in figure.axes]
    moments = [int(title.split(",")[0].removeprefix("epoch ")) for title in titles]
    assert len(moments) == 6
    assert moments[0] == 0
    assert moments[-1] == 500
    assert moments == sorted(set(moments))
    assert set(moments) <= set(epoch.tolist())
    # Evenly in log(1 + epoch), as near as the snapshots allow.
    np.testing.assert_allclose(np.log1p(moments), np.linspace(0, np.log(501), 6), atol=0.35)
    assert titles[0] == "epoch 0"
    assert titles[-1] == f"epoch 500, loss {loss[-1]:.3f}"
    assert titles[2] == f"epoch {moments[2]}, loss {loss[moments[2] - 1]:.3f}"
    assert [ax.get_title(loc="left") for ax in figure.axes] == list("abcdef")
    assert figure.get_size_inches()[0] == DOUBLE_COLUMN
    widths = [np.ptp(ax.get_xlim()) for ax in figure.axes]
    assert widths[-1] > 10 * widths[0]  # each panel has its own limits


def test_moments_show_the_embedding_of_their_epoch(snapshots, rgb):
    epoch, embedding = snapshots(2)
    for ax in plot_moments(epoch, embedding, rgb).axes:
        now = int(ax.get_title().removeprefix("epoch "))
        (points,) = ax.collections
        expected = embedding[np.flatnonzero(epoch == now)[0]]
        np.testing.assert_array_equal(points.get_offsets(), expected.astype(float))


def test_few_snapshots_make_few_panels(snapshots, rgb):
    epoch, embedding = snapshots(2)
    assert len(plot_moments(epoch[:1], embedding[:1], rgb).axes) == 1
    figure = plot_moments(epoch[-4:], embedding[-4:], rgb)
    assert [ax.get_title() for ax in figure.axes] == [f"epoch {now}" for now in epoch[-4:]]


def test_draws_on_the_axes_it_is_given(rgb):
    figure = Figure()
    flat, deep = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
    assert plot_embedding(rgb[:, :2], rgb, flat) is flat
    assert plot_embedding(rgb, rgb, deep) is deep
    assert figure.axes == [flat, deep]


def test_members_stand_in_a_grid_and_failures_show(rgb):
    members = np.random.default_rng(2).normal(size=(2, 3, 40, 2))
    members[0, 0, :, 1] = 0  # one dimension
    members[1, 2] = np.nan
    titles = [[f"seed {seed}, d = {dim}" for dim in (1, 2, 3)] for seed in (0, 1)]
    failed = np.zeros((2, 3), dtype=bool)
    failed[1, 1:] = True
    figure = plot_members(members, rgb, titles, failed=failed)
    panels = np.reshape(figure.axes, (2, 3))
    for place, ax in np.ndenumerate(panels):
        bad = bool(failed[place])
        assert ax.get_title() == titles[place[0]][place[1]] + ", failed" * bad
        assert ax.spines["top"].get_linewidth() == (2 if bad else 0.4)
        assert list(ax.get_xticks()) == list(ax.get_yticks()) == []
        one = place == (0, 0)  # one dimension has one axis
        assert [ax.spines[side].get_visible() for side in ("left", "right", "top")] == [not one] * 3
        assert ax.spines["bottom"].get_visible()
        if place == (1, 2):
            assert not ax.collections
            continue
        points = ax.collections[-1]
        np.testing.assert_allclose(points.get_offsets(), members[place])
        np.testing.assert_allclose(points.get_facecolors()[:, :3], rgb)
        assert np.ptp(ax.get_xlim()) == pytest.approx(np.ptp(ax.get_ylim()))
        for values, (low, high) in zip(members[place].T, (ax.get_xlim(), ax.get_ylim())):
            assert low < values.min() <= values.max() < high
    assert [text.get_text() for text in panels[1, 2].texts] == ["not finite"]
    assert figure.get_size_inches()[0] == SINGLE_COLUMN
    wide = plot_members(members.reshape(1, 6, 40, 2), rgb, [[""] * 6])
    assert wide.get_size_inches()[0] == DOUBLE_COLUMN


def _names_shown(ax):
    """The names beside the points, and their boxes in pixels."""
    ax.figure.draw_without_rendering()
    texts = [text for text in ax.texts if text.get_text()]
    return [text.get_text() for text in texts], [text.get_window_extent() for text in texts]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_no_name_covers_another_nor_leaves_the_axes(rgb, dim):
    points = np.random.default_rng(3).normal(size=(40, dim))
    names = [f"item {place}" for place in range(40)]
    ax = plot_items(points, names, rgb=rgb)
    shown, boxes = _names_shown(ax)
    assert 5 < len(shown) <= 40
    assert set(shown) <= set(names)
    assert ax.get_title("right") == f"names: {len(shown)} of 40"
    window = ax.get_window_extent()
    for place, box in enumerate(boxes):
        assert window.x0 <= box.x0 + 1
        assert box.x1 <= window.x1 + 1
        for other in boxes[place + 1 :]:
            assert not box.padded(-1).overlaps(other.padded(-1))


def test_names_of_low_rank_are_placed_first_and_the_same_every_time(rgb):
    crowd = np.full((40, 2), 0.5)
    crowd[:, 0] += np.linspace(0, 0.02, 40)
    crowd[0] = 0  # or the axes would show nothing but the crowd
    names = [f"item {place}" for place in range(40)]
    shown = [
        _names_shown(plot_items(crowd, names, rgb=rgb, rank=rank))[0]
        for rank in (np.arange(40), np.arange(40), -np.arange(40))
    ]
    assert shown[0] == shown[1]
    assert 0 < len(shown[0]) < 40
    assert shown[2][0] == "item 39"
    assert shown[0] != shown[2]


def test_names_are_text_whatever_they_hold(tmp_path):
    names = [
        "$x^2$",
        "$",
        "\\frac",
        "<b>",
        "_low",
        "a\nb",
        "\U00012000\U00012001",
        "x" * 90,
        " ",
        "\u202e",
    ]
    points = np.random.default_rng(0).normal(size=(10, 2))
    groups = ["$a$", "_b", "", "$a$", "\U00012000\U00012001", "x" * 90, "", "", "", ""]
    with pytest.warns(UserWarning, match="no font here has all characters of 1 name"):
        ax = plot_items(points, names, groups=groups, title="$5 and $6")
    shown, _ = _names_shown(ax)
    escaped = "\\U00012000\\U00012001"
    assert {"$x^2$", "$", "\\frac", "<b>", "_low", "a b", escaped} <= set(shown)
    assert legible("x" * 90) == "x" * 27 + "…"
    assert not any(text.get_parse_math() for text in ax.texts)
    legend = ax.figure.legends[0].get_texts()
    assert {"$a$", "_b", escaped, OTHER} <= {text.get_text() for text in legend}
    assert not any(text.get_parse_math() for text in legend)
    assert ax.get_title("left") == "$5 and $6"
    save_figure(ax.figure, tmp_path / "hostile")


def test_groups_are_told_apart_by_colour_and_shape():
    groups = [f"group {place % 15:02}" for place in range(60)]
    points = np.random.default_rng(0).normal(size=(60, 2))
    ax = plot_items(points, groups, groups=groups)
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert labels == [*(f"group {place:02}" for place in range(12)), OTHER]
    rgb = group_colours(groups)
    np.testing.assert_allclose(rgb[12], to_rgb("0.7"), atol=0.002)
    np.testing.assert_allclose(rgb[0], rgb[15])
    assert len(np.unique(rgb, axis=0)) == 9
    looks = item_looks(60, groups=groups).looks
    # The largest groups are drawn last, and lie on top.
    for collection, look in zip(ax.collections, reversed(looks), strict=True):
        filled = collection.get_facecolors()[0, :3]
        np.testing.assert_allclose(filled, to_rgb(look.colour if look.filled else "white"))
        if not look.filled:
            np.testing.assert_allclose(collection.get_edgecolors()[0, :3], to_rgb(look.colour))


def test_the_legend_of_groups_stands_clear_of_the_items(on_the_page, tmp_path):
    points = np.random.default_rng(0).normal(size=(45, 2))
    groups = [f"a rather long group {place % 15}" for place in range(45)]
    ax = plot_items(points, groups, groups=groups, title="items")
    save_figure(ax.figure, tmp_path / "items", formats=["png"])
    on_the_page(ax.figure)


def test_items_that_cannot_be_drawn_are_refused(rgb):
    points = np.zeros((40, 2))
    names = [""] * 40
    with pytest.raises(ValueError, match="not both"):
        plot_items(points, names, rgb=rgb, groups=names)
    with pytest.raises(ValueError, match="names and groups"):
        plot_items(points, names[1:])
    with pytest.raises(ValueError, match="an embedding must be"):
        plot_items(np.zeros((40, 4)), names)
    with pytest.raises(ValueError, match="projection"):
        plot_items(np.zeros((40, 3)), names, Figure().add_subplot())
    with pytest.raises(ValueError, match="finite"):
        plot_items(points + np.nan, names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rgb: plot_embedding(rgb[:, :1], rgb), r"\[C, 2\] or \[C, 3\], got \(40, 1\)"),
        (lambda rgb: plot_embedding(rgb[:5, :2], rgb), r"rgb must be \[5, 3\]"),
        (lambda rgb: plot_embedding(rgb[:, :2], rgb * 255), "divide values"),
        (lambda rgb: plot_embedding(rgb[:, :2] * np.nan, rgb), "not finite"),
        (lambda rgb: plot_embedding(rgb, rgb, Figure().add_subplot()), "for three columns"),
        (
            lambda rgb: plot_embedding(rgb[:, :2], rgb, Figure().add_subplot(projection="3d")),
            "and only then",
        ),
        (lambda rgb: plot_moments([0, 1], rgb[None], rgb), r"got \(2,\) and \(1, 40, 3\)"),
        (lambda rgb: plot_moments([], np.zeros((0, 40, 2)), rgb), "F >= 1"),
        (lambda rgb: plot_moments([1, 0], np.stack([rgb, rgb]), rgb), "above the one"),
        (lambda rgb: plot_moments([0.5], rgb[None], rgb), "whole numbers"),
        (lambda rgb: plot_moments([3], rgb[None], rgb, loss=[0.5, 0.4]), "each of 3 epochs"),
        (lambda rgb: plot_moments([3], rgb[None], rgb, count=1), "2 to 26"),
        (lambda rgb: plot_moments([3], rgb[None, :, :1], rgb), r"\[C, 2\] or \[C, 3\]"),
        (lambda rgb: plot_members(rgb[:, :2], rgb, [[""]]), r"got \(40, 2\)"),
        (lambda rgb: plot_members([[rgb[:, :2]]], rgb, [["", ""]]), r"\[1\]\[1\], a text"),
        (lambda rgb: plot_members([[rgb[:, :2]]], rgb[:3], [[""]]), "a row per item"),
        (lambda rgb: plot_members([[rgb[:, :2]]], rgb, [[""]], failed=[[1]]), "got .* int64"),
    ],
)
def test_says_what_is_wrong(call, message, rgb):
    with pytest.raises(ValueError, match=message):
        call(rgb)
