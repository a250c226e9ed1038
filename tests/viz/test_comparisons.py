import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from colour_embed.viz import comparisons, plots
from colour_embed.viz.comparisons import Interval, Line

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


@pytest.fixture(autouse=True)
def _nothing_left_open():
    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


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
    return comparisons.plot_lines(
        make_lines(3) if groups is None else groups, ax, **given | changes
    )


def bands(groups=None, ax=None, **changes):
    given = {"xlabel": "epoch", "ylabel": "training loss (nats per pair)"}
    groups = make_lines(3, np.arange(1.0, 101)) if groups is None else groups
    return comparisons.plot_bands(groups, ax, **given | changes)


def rows(groups=None, ax=None, names=ROWS, **changes):
    groups = make_rows(3) if groups is None else groups
    return comparisons.plot_rows(names, groups, ax, **{"xlabel": "Spearman"} | changes)


def outcomes(successes=((0, 3), (4, 0)), trials=((4, 4), (4, 0)), ax=None, **changes):
    given = {
        "rows": ["seed 0", "seed 1"],
        "columns": ["-0.5", "0.5"],
        "xlabel": "kernel before training",
        "ylabel": "initial embedding",
    }
    return comparisons.plot_outcomes(successes, trials, ax=ax, **given | changes)


def test_lines_draw_what_they_are_given():
    groups = make_lines(1) | {"other": Line([10.0, 20], interval([0.1, 0.2]))}
    ax = lines(groups, statistic="median")
    for bars, (x, value) in zip(ax.containers, groups.values(), strict=True):
        np.testing.assert_allclose(bars[0].get_xydata(), np.stack([x, value.mean], axis=1))
        for segment, *expected in zip(bars[2][0].get_segments(), x, value.low, value.high):
            np.testing.assert_allclose(segment[:, 0], expected[0])
            np.testing.assert_allclose(segment[:, 1], expected[1:])
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(groups)
    assert legend.get_title().get_text() == "median and 95 % interval"
    assert ax.get_xlabel() == "batch size (pairs)"
    assert ax.get_ylabel() == "held-out loss (nats per pair)"


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
def test_references_cross_and_are_named_apart(plot):
    ax = plot(references=REFERENCES | {"far away": 2.0})
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["chance: 0.5", "best possible: 0.52", "far away: 2"]
    assert [line.get_ydata()[0] for line in ax.get_lines()[-3:]] == [0.5, 0.52, 2.0]
    low, high = ax.get_ylim()
    assert low < 0.5 < 2.0 < high
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    for number, box in enumerate(boxes):
        assert box.count_overlaps(boxes[number + 1 :]) == 0
        assert ax.get_window_extent().y0 <= box.y0 < box.y1 <= ax.get_window_extent().y1


def test_bands_draw_what_they_are_given():
    epoch = np.arange(1.0, 31)
    groups = make_lines(2, epoch)
    mean = groups["sum head"].value.mean
    mean[10:15] = np.nan
    mean[12] = groups["sum head"].value.low[12]
    ax = bands(groups)
    drawn = [line for line in ax.get_lines() if line.get_linestyle() != "None"]
    assert len({str(line._dash_pattern) for line in drawn}) == 2
    for line, area, (x, value) in zip(drawn, ax.collections, groups.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), value.mean)
        assert line.get_marker() == "None"
        outline = np.concatenate([path.vertices for path in area.get_paths()])
        for number in (0, 12, 29):
            edges = outline[outline[:, 0] == x[number], 1]
            assert edges.min() == pytest.approx(value.low[number])
            assert edges.max() == pytest.approx(value.high[number])
        hidden = set(x[np.isnan(value.mean)])
        assert hidden.isdisjoint(outline[:, 0])
    (dot,) = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert dot.get_xydata().tolist() == [[13, mean[12]]]  # alone between gaps
    assert "95 % interval" in ax.get_legend().get_title().get_text()


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
    texts = {text.get_text(): text.xy for text in ax.texts if text.get_text()}
    assert texts == {"none": (0, 2), "chance: 0.5": (0.5, 1), "best possible: 0.52": (0.52, 1)}
    assert len(ax.patches) == 2  # every other row on grey
    plain = rows(make_rows(1), shade=False)
    assert not plain.patches
    assert rows({"a": Interval(1, 0.5, 2)}, names=["only"]).containers[0][0].get_xdata() == [1]


def test_outcomes_say_and_shade_the_share():
    ax = outcomes(title="recovered")
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "0/4",
        (1, 0): "3/4",
        (0, 1): "4/4",
    }
    shades = [patch.get_facecolor()[0] for patch in ax.patches]
    assert shades == pytest.approx([1, 0.4375, 0.25, 1])
    assert [patch.get_hatch() is None for patch in ax.patches] == [True, True, True, False]
    assert [text.get_color() for text in ax.texts] == ["black", "white", "white"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["seed 0", "seed 1"]
    assert ax.get_ylim() == (1.5, -0.5)
    assert ax.get_title() == "recovered"


def test_the_largest_matrix_is_readable_in_one_column(tmp_path):
    trials = np.full((7, 12), 4)
    columns = [f"{kernel:.2f}" for kernel in np.linspace(-1, 1, 12)]
    names = [f"seed {seed}" for seed in range(7)]
    ax = outcomes(trials - 1, trials, rows=names, columns=columns)
    plots.save_figure(ax.figure, tmp_path / "matrix", formats=["png"])
    boxes = [text.get_window_extent() for text in (*ax.texts, *ax.get_xticklabels())]
    for number, box in enumerate(boxes):
        assert box.count_overlaps(boxes[number + 1 :]) == 0
    assert all(text.get_fontsize() >= 5.5 for text in ax.texts)


def test_panels_have_the_width_of_a_column_or_of_the_page():
    for shape, width in (((2, 1), plots.SINGLE_COLUMN), ((1, 2), plots.DOUBLE_COLUMN)):
        figure, axes = comparisons.panels(*shape, height=3)
        assert axes.shape == shape
        assert figure.get_size_inches().tolist() == [width, 3]
    assert comparisons.panels(1, 1, height=2, width=5)[0].get_size_inches()[0] == 5


def on_the_page(figure):
    """Assert that no text of a figure whose layout is settled is cut or lies on a legend."""
    figure.draw_without_rendering()
    page = figure.bbox
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in (*ax.texts, ax.title) if text.get_text()]
        boxes += [axis.get_tightbbox() for axis in (ax.xaxis, ax.yaxis)]  # ticks that are in view
        legend = ax.get_legend()
        if legend is not None:
            legend = legend.get_window_extent()
            assert legend.y0 >= ax.get_window_extent().y1
            # Its lowest 2 points are empty.
            inner = Bbox.from_extents(legend.x0, legend.y0 + 2, legend.x1, legend.y1)
            assert inner.count_overlaps(boxes) == 0
            boxes.append(legend)
        for box in boxes:
            assert page.x0 - 0.5 <= box.x0 <= box.x1 <= page.x1 + 0.5
            assert page.y0 - 0.5 <= box.y0 <= box.y1 <= page.y1 + 0.5


@pytest.mark.parametrize("count", [1, 3, 6, 8])
def test_figures_fit_on_the_page(count, tmp_path):
    for figure in (
        lines(make_lines(count), log_x=True, references=REFERENCES, legend_columns=2).figure,
        bands(make_lines(count, np.arange(1.0, 101)), log_y=True).figure,
        rows(make_rows(count), references=REFERENCES).figure,
        rows(make_rows(count), names=["a", "b", "c", "d"], shade=False).figure,
        outcomes(title="recovered").figure,
    ):
        plots.save_figure(figure, tmp_path / "page", formats=["png"])
        assert figure.get_size_inches()[0] == plots.SINGLE_COLUMN
        on_the_page(figure)


@pytest.mark.parametrize(("shape", "height"), [((2, 2), 5.2), ((4, 1), 9), ((1, 4), 2.8)])
def test_letters_stand_in_the_corner_clear_of_all_else(shape, height, tmp_path):
    figure, axes = comparisons.panels(*shape, height=height)
    first, second, third, fourth = axes.ravel()
    lines(make_lines(3), first, log_x=True, references=REFERENCES)
    bands(make_lines(2, np.arange(1.0, 101)), second)
    wide = shape[1] == 4
    rows(make_rows(2), third, names="abcd" if wide else ROWS, references={"chance": 0.5})
    outcomes(ax=fourth, title="recovered")
    comparisons.letter(axes)
    plots.save_figure(figure, tmp_path / "panels", formats=["png"])
    on_the_page(figure)
    letters = [ax.texts[-1] for ax in axes.ravel()]
    assert [text.get_text() for text in letters] == list("abcd")
    corners = np.empty((*shape, 2))
    for place, (text, ax) in zip(np.ndindex(shape), zip(letters, axes.ravel())):
        assert text.get_fontweight() == "bold"
        box = text.get_window_extent()
        corners[place] = box.x0, box.y1
        assert box.y0 > ax.get_window_extent().y1
        assert box.x1 < ax.get_window_extent().x0
        others = [text.get_window_extent() for text in (*ax.texts[:-1], ax.title)]
        assert not box.count_overlaps([*others, ax.yaxis.get_tightbbox()])
    # In line along rows and columns.
    np.testing.assert_allclose(corners[..., 0], np.tile(corners[:1, :, 0], (shape[0], 1)), atol=1)
    assert np.ptp(corners[..., 1], axis=1).max() < 3


def test_a_letter_stands_above_a_legend_that_reaches_over_its_place(tmp_path):
    figure, axes = comparisons.panels(1, 1, height=2.5, width=1.8)
    lines(make_lines(2), axes[0, 0], ylabel="loss")
    comparisons.letter(axes[0])
    plots.save_figure(figure, tmp_path / "narrow", formats=["png"])
    on_the_page(figure)


def test_all_draw_on_the_axes_they_are_given_in_the_house_style():
    figure = Figure()
    for ax, plot in zip(figure.subplots(1, 4), (lines, bands, rows, outcomes)):
        assert plot(ax=ax) is ax
        if plot is not outcomes:
            assert {text.get_fontsize() for text in ax.get_legend().get_texts()} == {7}
    assert len(figure.axes) == 4
    assert figure.get_size_inches().tolist() == list(mpl.rcParams["figure.figsize"])


def composite():
    figure, axes = comparisons.panels(2, 2, height=5)
    for ax, plot in zip(axes.ravel(), (lines, bands, rows, outcomes)):
        plot(ax=ax)
    comparisons.letter(axes)
    return figure


@pytest.mark.parametrize(
    "make",
    [
        lambda: lines(references=REFERENCES).figure,
        lambda: rows(references=REFERENCES).figure,
        composite,
    ],
    ids=["lines", "rows", "composite"],
)
def test_the_same_figure_gives_the_same_bytes(make, tmp_path):
    written = []
    for user_size in (8, 20):
        with mpl.rc_context({"font.size": user_size, "savefig.dpi": 5 * user_size}):
            paths = plots.save_figure(make(), tmp_path / f"{user_size}")
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]


def test_a_rounding_is_no_mean_outside_its_interval():
    (bars,) = rows({"a": Interval(0.3, 0.1 + 0.2, 0.1 + 0.2)}, names=["only"]).containers
    assert bars[0].get_xdata() == [0.3]


def one_line(x=(1, 2), mean=(1, 2), low=(0, 1), high=(2, 3)):
    return {"a": Line(x, Interval(mean, low, high))}


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
        (lambda: rows(names=[]), "rows is empty"),
        (lambda: rows(names=["one"]), r"must all be \[1\], got \(4,\)"),
        (lambda: rows(colours={"else": "red"}), r"of groups, got \['else'\]"),
        (lambda: outcomes(rows=["one"]), r"must be \[1, 2\].*got \(2, 2\)"),
        (lambda: outcomes([], [], rows=[], columns=[]), "with one of each"),
        (lambda: outcomes(trials=[[4, 4], [4, 0.5]]), "whole numbers, got float64"),
        (lambda: outcomes(successes=[[5, 0], [0, 0]]), "between 0 and their trials"),
        (lambda: comparisons.letter([]), "1 to 26, got 0"),
        (lambda: comparisons.panels(0, 1, height=2), "at least 1, got 0 and 1"),
        (lambda: comparisons.panels(1, 1, height=0), "above 0, got 0 and 3.5"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
