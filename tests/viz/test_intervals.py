import matplotlib as mpl
import numpy as np
import pytest

from colour_embed.viz.intervals import (
    Interval,
    Line,
    plot_lines,
    plot_outcomes,
    plot_quality_by_dimension,
    plot_recovery_by_weight,
    plot_rows,
)
from colour_embed.viz.style import SINGLE_COLUMN, letter, panels, save_figure

pytestmark = pytest.mark.usefixtures("nothing_left_open")

NAMES = [
    "sum head",
    "cosine head, unit length",
    "Euclidean distance",
    "no bias",
    "frozen kernel",
    "learned kernel",
    "a seventh",
    "an eighth, the last",
]
X = np.array([8.0, 32, 128, 512, 2048])
ROWS = ["plain", "Euclidean distance with a learned scale and bias, trained", "none of it", "last"]
REFERENCES = {"chance": 0.5, "best possible": 0.52}


def interval(mean, half=0.03):
    mean = np.asarray(mean, dtype=float)
    return Interval(mean, mean - half, mean + 2 * half)


def make_lines(count, points=X):
    fall = np.exp(-np.arange(len(points)) / len(points))
    return {NAMES[i]: Line(points, interval(0.2 + 0.05 * i + 0.5 * fall)) for i in range(count)}


def make_rows(count):
    return {NAMES[i]: interval([0.4 + 0.05 * i, 0.9, np.nan, 0.6]) for i in range(count)}


def lines(groups=None, ax=None, **changes):
    given = {"xlabel": "batch size (pairs)", "ylabel": "held-out loss (nats per pair)"}
    return plot_lines(make_lines(3) if groups is None else groups, ax, **given | changes)


def bands(groups=None, ax=None, **changes):
    given = {"xlabel": "epoch", "ylabel": "training loss (nats per pair)"}
    groups = make_lines(3, np.arange(1.0, 101)) if groups is None else groups
    return plot_lines(groups, ax, bands=True, **given | changes)


def rows(groups=None, ax=None, names=ROWS, **changes):
    groups = make_rows(3) if groups is None else groups
    return plot_rows(names, groups, ax, **{"xlabel": "Spearman"} | changes)


def outcomes(successes=((0, 3), (4, 0)), trials=((4, 4), (4, 0)), ax=None, **changes):
    given = {
        "rows": ["seed 0", "seed 1"],
        "columns": ["-0.5", "0.5"],
        "xlabel": "kernel before training",
        "ylabel": "initial embedding",
    }
    return plot_outcomes(successes, trials, ax=ax, **given | changes)


def entries(ax):
    (legend,) = ax.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def title_of(ax):
    return ax.figure.legends[0].get_title().get_text()


def test_lines_draw_what_they_are_given():
    groups = make_lines(1) | {"other": Line([10.0, 20], interval([0.1, 0.2]))}
    ax = lines(groups, statistic="median and range", colours={"other": "crimson"})
    for bars, (x, value) in zip(ax.containers, groups.values(), strict=True):
        np.testing.assert_allclose(bars[0].get_xydata(), np.stack([x, value.mean], axis=1))
        for segment, *expected in zip(bars[2][0].get_segments(), x, value.low, value.high):
            np.testing.assert_allclose(segment[:, 0], expected[0])
            np.testing.assert_allclose(segment[:, 1], expected[1:])
    assert entries(ax) == list(groups)
    assert title_of(ax) == "median and range"
    assert [bars[0].get_color() for bars in ax.containers] == ["#000000", "crimson"]
    assert ax.get_xlabel() == "batch size (pairs)"
    assert ax.get_ylabel() == "held-out loss (nats per pair)"


def _dots(ax):
    """The lines that are drawn without a name: the members."""
    return [line for line in ax.get_lines() if line.get_marker() == "."]


def _with_members(value, *members):
    return Interval(*value[:3], [np.asarray(found) for found in members])


@pytest.mark.parametrize("log_x", [False, True])
def test_every_member_is_drawn_at_the_place_of_its_statistic(log_x):
    members = [0.3, 0.5, 0.6], [], [0.4]
    groups = {
        "a": Line(X[:3], _with_members(interval([0.5, 0.4, 0.4]), *members)),
        "b": Line(X[:3], interval([0.5, 0.4, 0.4])),
    }
    ax = lines(groups, log_x=log_x)
    [dots] = _dots(ax)
    bars = ax.containers[0][0]
    np.testing.assert_allclose(dots.get_xdata(), bars.get_xdata()[[0, 0, 0, 2]])
    np.testing.assert_allclose(dots.get_ydata(), np.concatenate(members))
    assert dots.get_zorder() < bars.get_zorder()
    assert dots.get_color() == bars.get_color()
    assert entries(ax) == ["a", "b"]


def test_every_member_is_drawn_in_the_row_of_its_statistic():
    members = [0.3, 0.5], [0.8], [], [0.4, 0.6, 0.7]
    drawn = {"a": _with_members(interval([0.4, 0.9, np.nan, 0.6]), *members), **make_rows(1)}
    ax = rows(drawn)
    [dots] = _dots(ax)
    np.testing.assert_allclose(dots.get_xdata(), np.concatenate(members))
    bars = ax.containers[0][0]
    np.testing.assert_allclose(dots.get_ydata(), bars.get_ydata()[[0, 0, 1, 3, 3, 3]])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_members_are_those_of_each_statistic(count):
    value = _with_members(interval([0.5, 0.4, 0.4]), *[[0.5]] * count)
    with pytest.raises(ValueError, match=rf"members of 'a' must be \[3\], got {count}"):
        lines({"a": Line(X[:3], value)})
    with pytest.raises(ValueError, match=rf"members of 'a' must be \[3\], got {count}"):
        rows({"a": value}, names=ROWS[:3])


def test_groups_differ_without_colour():
    drawn = [bars[0] for bars in lines(make_lines(8)).containers]
    for look in ("get_marker", "get_color"):
        assert len({getattr(line, look)() for line in drawn}) == 8
    assert len({str(line._dash_pattern) for line in drawn}) == 8  # as dashes, not as names of them
    filled = [line.get_markerfacecolor() != "white" for line in drawn]
    assert filled == [True, False] * 4


@pytest.mark.parametrize("log_x", [False, True])
@pytest.mark.parametrize("count", [2, 8])
def test_dodge_keeps_the_order_of_x(log_x, count):
    ax = lines(make_lines(count), log_x=log_x)
    drawn = np.array([bars[0].get_xdata() for bars in ax.containers])
    across = drawn.T.ravel()  # all groups at the first x, then all at the second
    assert np.all(np.diff(across) > 0)
    scaled, true = (np.log(drawn), np.log(X)) if log_x else (drawn, X)
    np.testing.assert_allclose(scaled.mean(axis=0), true)
    shifts = scaled - true
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[:, :1], shifts.shape), atol=1e-9)


def test_a_missing_mean_is_a_gap_and_a_missing_interval_no_bar():
    mean, low = np.array([0.5, np.nan, 0.4, 0.3]), np.array([0.4, 0.3, np.nan, 0.2])
    value = Interval(mean, low, mean + 0.1)
    (bars,) = lines({"a": Line(X[:4], value)}).containers
    np.testing.assert_array_equal(bars[0].get_ydata(), mean)
    segments = [segment for segment in bars[2][0].get_segments() if len(segment)]
    whole = [segment for segment in segments if np.isfinite(segment).all()]
    np.testing.assert_allclose(whole, [[[8, 0.4], [8, 0.6]], [[512, 0.2], [512, 0.4]]])
    lines({"a": Line(X, interval(X * np.nan))}, log_x=True, log_y=True)  # without a warning


def test_logarithmic_axes_and_ticks():
    ax = lines(log_x=True, log_y=True, ticks=X)
    ax.figure.draw_without_rendering()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["8", "32", "128", "512", "2048"]
    assert ax.get_xticks(minor=True).size == 0
    shown = [text.get_text() for text in ax.get_yticklabels(which="both")]
    assert "0.6" in shown
    assert not any("e" in text for text in shown)
    ax = lines(ticks=[8, 512], tick_labels=["few", "many"])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["few", "many"]


def test_one_x_stands_in_the_middle():
    one = {name: Line([4], interval([0.5])) for name in NAMES[:2]}
    assert lines(one).get_xlim() == (3.5, 4.5)
    assert bands(one, log_x=True).get_xlim() == pytest.approx((4 / 3, 12))


@pytest.mark.parametrize("plot", [lines, bands])
def test_references_cross_and_are_named_in_the_legend(plot):
    ax = plot(references=REFERENCES | {"far away": 2.0})
    named = ["chance: 0.5", "best possible: 0.52", "far away: 2"]
    assert entries(ax) == [*NAMES[:3], *named]
    drawn = [line for line in ax.get_lines() if line.get_label() in named]
    assert [line.get_ydata()[0] for line in drawn] == [0.5, 0.52, 2.0]
    low, high = ax.get_ylim()
    assert low < 0.5 < 2.0 < high


def test_bands_draw_what_they_are_given():
    epoch = np.arange(1.0, 31)
    groups = make_lines(2, epoch)
    mean = groups["sum head"].value.mean
    mean[10:15] = np.nan
    mean[12] = groups["sum head"].value.low[12]
    ax = bands(groups)
    drawn = ax.get_lines()
    assert len({str(line._dash_pattern) for line in drawn}) == 2
    for line, area, (x, value) in zip(drawn, ax.collections, groups.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), value.mean)
        outline = np.concatenate([path.vertices for path in area.get_paths()])
        for number in (0, 12, 29):
            edges = outline[outline[:, 0] == x[number], 1]
            assert edges.min() == pytest.approx(value.low[number])
            assert edges.max() == pytest.approx(value.high[number])
        hidden = set(x[np.isnan(value.mean)])
        assert hidden.isdisjoint(outline[:, 0])
    # A dot where a point stands alone between gaps, and none elsewhere.
    assert [line.get_marker() for line in drawn] == ["o", "None"]
    assert drawn[0].get_markevery() == [12]
    assert "95 % interval" in title_of(ax)


def test_rows_draw_what_they_are_given():
    groups = make_rows(3)
    ax = rows(groups, references=REFERENCES, colours={"sum head": "crimson"}, xlim=(0.45, 0.8))
    low, high = ax.get_ylim()
    assert low > high  # the first row on top
    heights = np.array([bars[0].get_ydata() for bars in ax.containers])
    assert np.all(np.diff(heights.T.ravel()) > 0)  # rows in order, groups in order within
    np.testing.assert_array_equal(np.round(heights), np.tile(np.arange(4), (3, 1)))
    for bars, value in zip(ax.containers, groups.values(), strict=True):
        np.testing.assert_array_equal(bars[0].get_xdata(), value.mean)
        segments = np.array(bars[2][0].get_segments()[:2])
        np.testing.assert_allclose(segments[:, :, 0].T, [value.low[:2], value.high[:2]])
    assert ax.containers[0][0].get_color() == "crimson"
    assert len({bars[0].get_marker() for bars in ax.containers}) == 3
    assert ax.get_xlim() == (0.4, 0.9)  # wide enough for every mean
    assert [text.get_text().replace("\n", " ") for text in ax.get_yticklabels()] == ROWS
    assert max(len(text.get_text().split("\n")[0]) for text in ax.get_yticklabels()) <= 26
    assert {text.get_text(): text.get_position()[1] for text in ax.texts} == {"none": 2}
    assert entries(ax) == [*NAMES[:3], "chance: 0.5", "best possible: 0.52"]
    assert [line.get_xdata()[0] for line in ax.get_lines()[-2:]] == [0.5, 0.52]
    assert len(ax.patches) == 2  # every other row on grey
    assert rows({"a": Interval(1, 0.5, 2)}, names=["only"]).containers[0][0].get_xdata() == [1]


def test_outcomes_say_and_shade_the_share():
    ax = outcomes(title="recovered")
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "0/4",
        (1, 0): "3/4",
        (0, 1): "4/4",
    }
    (cells,) = ax.collections
    cells.update_scalarmappable()
    shades = cells.get_facecolors()
    assert shades[:3, 0] == pytest.approx([1, 0.4375, 0.25], abs=0.003)
    assert shades[:, 3].tolist() == [1, 1, 1, 0]  # no trials: the hatched ground shows
    assert ax.patch.get_hatch()
    assert [text.get_color() for text in ax.texts] == ["black", "white", "white"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["seed 0", "seed 1"]
    assert ax.get_ylim() == (1.5, -0.5)
    assert ax.get_title() == "recovered"


def test_large_matrices_show_the_boundary_and_few_counts():
    successes = np.zeros((3, 5), int)
    successes[0, :4], successes[1:, :2], successes[1, 2] = 4, 4, 3
    trials = np.full((3, 5), 4)
    names = [["a", "b", "c"], list("12345")]
    ax = outcomes(successes, trials, rows=names[0], columns=names[1])
    assert {text.get_position(): text.get_text() for text in ax.texts} == {(2, 1): "3/4"}
    _, boundary = ax.collections
    edges = {tuple(map(tuple, np.sort(part, axis=0))) for part in boundary.get_segments()}
    assert edges == {
        ((3.5, -0.5), (3.5, 0.5)),
        ((2.5, 0.5), (2.5, 1.5)),
        ((1.5, 1.5), (1.5, 2.5)),
        ((2.5, 0.5), (3.5, 0.5)),
        ((1.5, 1.5), (2.5, 1.5)),
    }
    assert entries(ax) == ["half of the trials succeed"]
    # A cell without trials has no boundary, and other trials than its neighbours' are written.
    trials[0, 4] = 0
    assert len(outcomes(successes, trials, rows=names[0], columns=names[1]).collections) == 2
    trials[2, 0] = 5
    ax = outcomes(successes, trials, rows=names[0], columns=names[1])
    assert len(ax.texts) == 14
    assert not ax.figure.legends


def test_intervals_are_drawn_over_markers():
    for ax in (lines(), rows()):
        for line, caps, bars in (container[:3] for container in ax.containers):
            assert min(part.get_zorder() for part in (*caps, *bars)) > line.get_zorder()
            assert line.get_markerfacecolor() != line.get_color()
            assert line.get_markersize() < 4


def test_the_largest_matrix_is_readable_in_one_column(tmp_path):
    trials = np.full((7, 12), 4)
    columns = [f"{kernel:.2f}" for kernel in np.linspace(-1, 1, 12)]
    names = [f"seed {seed}" for seed in range(7)]
    ax = outcomes(trials - 1, trials, rows=names, columns=columns)
    save_figure(ax.figure, tmp_path / "matrix", formats=["png"])
    boxes = [text.get_window_extent() for text in (*ax.texts, *ax.get_xticklabels())]
    for number, box in enumerate(boxes):
        assert box.count_overlaps(boxes[number + 1 :]) == 0
    assert all(text.get_fontsize() >= 5.5 for text in ax.texts)


@pytest.mark.parametrize("count", [1, 3, 6, 8])
def test_figures_fit_on_the_page(count, on_the_page, tmp_path):
    for figure in (
        lines(make_lines(count), log_x=True, references=REFERENCES).figure,
        bands(make_lines(count, np.arange(1.0, 101)), log_y=True).figure,
        rows(make_rows(count), references=REFERENCES).figure,
        rows(make_rows(count), names=["a", "b", "c", "d"]).figure,
        outcomes(title="recovered").figure,
    ):
        save_figure(figure, tmp_path / "page", formats=["png"])
        assert figure.get_size_inches()[0] == SINGLE_COLUMN
        on_the_page(figure)


def composite(shape=(2, 2), height=5.2, names=ROWS):
    figure, axes = panels(*shape, height=height)
    first, second, third, fourth = axes.ravel()
    assert lines(None, first, log_x=True, references=REFERENCES) is first
    assert bands(make_lines(2, np.arange(1.0, 101)), second) is second
    assert rows(make_rows(2), third, names, references={"chance": 0.5}) is third
    assert outcomes(ax=fourth, title="recovered") is fourth
    letter(axes)
    assert figure.axes == list(axes.flat)
    return figure, axes


def test_panels_list_each_group_and_reference_once():
    _, axes = composite()
    assert entries(axes[0, 0]) == [*NAMES[:3], "chance: 0.5", "best possible: 0.52"]
    assert title_of(axes[0, 0]) == "interquartile mean and 95 % interval"


@pytest.mark.parametrize(("shape", "height"), [((2, 2), 5.2), ((4, 1), 9), ((1, 4), 2.8)])
def test_letters_stand_above_their_panels_clear_of_all_else(shape, height, on_the_page, tmp_path):
    figure, axes = composite(shape, height, "abcd" if shape[1] == 4 else ROWS)
    save_figure(figure, tmp_path / "panels", formats=["png"])
    on_the_page(figure)
    corners = np.empty((*shape, 2))
    for place, text in zip(np.ndindex(shape), "abcd"):
        ax = axes[place]
        assert ax.get_title(loc="left") == text
        assert ax._left_title.get_fontweight() == "bold"
        box = ax._left_title.get_window_extent()
        corners[place] = box.x0, box.y0
        assert box.y0 > ax.get_window_extent().y1
    # In line along rows and columns.
    np.testing.assert_allclose(corners[..., 0], np.tile(corners[:1, :, 0], (shape[0], 1)), atol=1)
    assert np.ptp(corners[..., 1], axis=1).max() < 3


def test_the_same_panels_give_the_same_bytes(tmp_path):
    written = []
    for user_size in (8, 20):
        with mpl.rc_context({"font.size": user_size, "savefig.dpi": 5 * user_size}):
            paths = save_figure(composite()[0], tmp_path / f"{user_size}")
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]


def test_a_rounding_is_no_mean_outside_its_interval():
    (bars,) = rows({"a": Interval(0.3, 0.1 + 0.2, 0.1 + 0.2)}, names=["only"]).containers
    assert bars[0].get_xdata() == [0.3]


def one_line(x=(1, 2), mean=(1, 2), low=(0, 1), high=(2, 3)):
    return {"a": Line(x, Interval(mean, low, high))}


def full():
    """Axes of a figure whose other panel shows the last seven groups."""
    _, axes = panels(1, 2, height=2)
    lines({name: make_lines(1)["sum head"] for name in [*NAMES[2:], "a ninth"]}, axes[0, 0])
    return axes[0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lines({}), "1 to 8 groups, got 0"),
        (lambda: lines({str(i): make_lines(1)["sum head"] for i in range(9)}), "got 9"),
        (lambda: lines(one_line(low=[0])), r"of 'a' must all be \[2\], got \(2,\), \(1,\)"),
        (lambda: bands(one_line(x=[1, 2, 3])), r"must all be \[3\]"),
        (lambda: lines(one_line(x=[[1, 2]])), r"x of 'a' must be \[P\]"),
        (lambda: lines(one_line(x=[2, 2])), "increase from point to point"),
        (lambda: lines(one_line(x=[1, np.nan])), "must be finite"),
        (lambda: lines(one_line(low=[1.5, 1])), "outside its interval: 1 is not between 1.5 and 2"),
        (lambda: lines(one_line(high=[np.inf, 3])), "an infinite number"),
        (lambda: lines(one_line(x=[0, 1]), log_x=True), "x of 'a' must be above 0"),
        (lambda: bands(one_line(mean=[0, 1]), log_y=True), "mean of 'a' must be above 0"),
        (lambda: lines(ticks=[8], tick_labels=["a", "b"]), "a text for each of ticks"),
        (lambda: lines(tick_labels=["a"]), "a text for each of ticks"),
        (lambda: lines(references={"best": 0}, log_y=True), "'best' must be finite and above 0"),
        (lambda: rows(references={"best": np.nan}), "'best' must be finite, got nan"),
        (lambda: rows({}), "1 to 8 groups"),
        (lambda: lines(make_lines(2), ax=full()), "a figure compares 1 to 8 groups, got 9"),
        (lambda: rows(names=[]), "rows is empty"),
        (lambda: rows(names=["one"]), r"must all be \[1\], got \(4,\)"),
        (lambda: rows(colours={"else": "red"}), r"of groups, got \['else'\]"),
        (lambda: outcomes(rows=["one"]), r"must be \[1, 2\].*got \(2, 2\)"),
        (lambda: outcomes([], [], rows=[], columns=[]), "with one of each"),
        (lambda: outcomes(trials=[[4, 4], [4, 0.5]]), "whole numbers, got float64"),
        (lambda: outcomes(successes=[[5, 0], [0, 0]]), "between 0 and their trials"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_quality_marks_the_selected_dimension_and_its_intervals():
    mean, half = np.array([0.41, 0.34, 0.33, 0.35]), np.array([0.01, 0.02, 0.01, np.nan])
    dims = np.array([1, 2, 3, 5])
    about = {"selected": 3, "floor": 0.32088, "label": "excess (nats)", "statistic": "mean"}
    ax = plot_quality_by_dimension(dims, mean, mean - half, mean + half, **about)
    (bars,) = ax.containers
    np.testing.assert_allclose(bars[0].get_xydata(), np.stack([dims, mean], axis=1))
    segments = bars[2][0].get_segments()[:3]
    expected = [[x, y] for x, y in zip([1, 2, 3], zip(mean - half, mean + half))]
    assert [[s[0][0], tuple(s[:, 1])] for s in segments] == [
        [x, pytest.approx(y)] for x, y in expected
    ]
    assert ax.get_lines()[-1].get_xdata()[0] == 3
    assert ax.get_xticks().tolist() == [1, 2, 3, 5]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("dimension $d$", "excess (nats)")
    assert entries(ax) == ["excess", "Bayes-optimal: 0.3209", "selected dimension: 3"]
    assert title_of(ax) == "mean"


@pytest.fixture
def trap():
    weight = np.array([-1.2, -0.4, 0.02, 0.5, 1.1, 0.8, -0.9])
    recovered = np.array([True, True, True, False, False, False, True])
    spearman = np.array([0.9, 0.95, 0.8, 0.1, -0.1, np.nan, 0.85])
    return weight, recovered, np.array([2, 2, 3, 3, 2, 2, 3]), spearman


def test_recovery_tells_outcome_and_dimension_without_colour(trap):
    weight, _, _, spearman = trap
    ax = plot_recovery_by_weight(*trap)
    seen = {}
    drawn = [line for line in ax.get_lines() if line.get_marker() in "os"]
    for line in drawn:
        hollow = line.get_markerfacecolor() == "none"
        seen[line.get_marker(), hollow] = sorted(line.get_xdata())
    assert seen == {
        ("o", False): [-1.2, -0.4],
        ("o", True): [1.1],
        ("s", False): [-0.9, 0.02],
        ("s", True): [0.5],
    }
    heights = dict(np.concatenate([line.get_xydata() for line in drawn]).tolist())
    assert heights == {w: s for w, s in zip(weight, spearman) if np.isfinite(s)}
    (cross,) = [line for line in ax.get_lines() if line.get_marker() == "x"]
    assert cross.get_xydata().tolist() == [[0.8, 0]]
    assert entries(ax) == ["$d$ = 2: 2 / 2", "$d$ = 3: 2 / 1", "diverged: 1", "weight: 0"]
    assert title_of(ax) == "4 recovered (filled) / 3 failed (hollow)"


def test_sweep_figures_fit_on_the_page(trap, on_the_page, tmp_path):
    dims = np.arange(1, 9)
    many = np.resize(dims, 200)
    for ax in (
        plot_quality_by_dimension(dims, dims, dims, dims, selected=3, floor=0.5),
        plot_recovery_by_weight(*trap),
        plot_recovery_by_weight(many / 8, many > 9, many, many / 10),
    ):
        save_figure(ax.figure, tmp_path / "page", formats=["png"])
        on_the_page(ax.figure)


def test_sweep_figures_draw_on_the_axes_they_are_given(trap):
    figure, axes = panels(1, 2, height=3)
    assert plot_quality_by_dimension([1], [2], [1], [3], axes[0, 0]) is axes[0, 0]
    assert plot_recovery_by_weight(*trap, axes[0, 1]) is axes[0, 1]
    assert figure.axes == list(axes.flat)


def quality(**changes):
    given = {"dims": [1], "mean": [2.0], "low": [1.0], "high": [3.0]}
    return plot_quality_by_dimension(**given | changes)


def recovery(**changes):
    given = {"initial_weight": [0.5], "recovered": [True], "dims": [2], "spearman": [0.9]}
    return plot_recovery_by_weight(**given | changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quality(dims=[1, 2]), r"must all be \[2\], got \(1,\), \(1,\)"),
        (lambda: quality(dims=[1.5]), "whole numbers"),
        (lambda: quality(dims=[2, 1], mean=[2, 2], low=[1, 1], high=[3, 3]), "increase"),
        (lambda: quality(mean=[np.nan]), "leave those dimensions out"),
        (lambda: quality(mean=[9]), "outside its interval"),
        (lambda: quality(selected=2), r"among \[1\], got 2"),
        (lambda: recovery(dims=[1, 2]), r"got \[\(1,\), \(1,\), \(2,\), \(1,\)\]"),
        (lambda: recovery(recovered=[1]), "got int64 and int64"),
        (lambda: recovery(initial_weight=[np.inf]), "not finite"),
        (lambda: recovery(spearman=[0.5, 0.5]), r"must be \[M\].*\(2,\)"),
        (lambda: recovery(spearman=[np.nan]), "a recovered member"),
    ],
)
def test_says_what_is_wrong_with_a_sweep(call, message):
    with pytest.raises(ValueError, match=message):
        call()
