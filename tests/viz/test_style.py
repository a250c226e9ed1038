import os

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from colour_embed.viz import style
from colour_embed.viz.curves import plot_losses
from colour_embed.viz.embedding import plot_embedding, plot_items, plot_members, plot_moments
from colour_embed.viz.intervals import plot_quality_by_dimension, plot_recovery_by_weight

pytestmark = pytest.mark.usefixtures("nothing_left_open")


def losses(names, ax=None, **references):
    return plot_losses({name: [0.6, 0.4, 0.3] for name in names}, ax, **references)


def entries(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_style_holds_whatever_the_user_has_set():
    with mpl.rc_context({"font.size": 20, "axes.grid": True}):
        with style.style():
            assert mpl.rcParams["font.size"] == 8
            assert mpl.rcParams["pdf.fonttype"] == 42
            assert not mpl.rcParams["axes.grid"]
        assert mpl.rcParams["font.size"] == 20


def test_panels_have_the_width_of_a_column_or_of_the_page():
    for shape, width in (((2, 1), style.SINGLE_COLUMN), ((1, 2), style.DOUBLE_COLUMN)):
        figure, axes = style.panels(*shape, height=3)
        assert axes.shape == shape
        assert figure.get_size_inches().tolist() == [width, 3]


def test_panels_share_one_legend_and_a_name_keeps_its_look():
    figure, axes = style.panels(1, 3, height=3)
    losses("ab", axes[0, 2], best=0.3)
    losses("bc", axes[0, 0], best=0.3)
    losses("ac", axes[0, 1], best=0.3, base_rate=0.5)
    named = ["Bayes-optimal loss: 0.3", "base-rate loss: 0.5"]
    assert sorted(entries(figure)[:3]) == ["a", "b", "c"]
    assert entries(figure)[3:] == named  # references last
    assert all(ax.get_legend() is None for ax in figure.axes)
    looks = {}
    for line in (line for ax in figure.axes for line in ax.get_lines()):
        looks.setdefault(line.get_label(), set()).add((line.get_color(), str(line._dash_pattern)))
    assert looks.keys() == {*"abc", *named}
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == 5
    assert style.groups_of(axes[0, 0]) == ["a", "b", "c"]


def test_titles_of_the_panels_stand_below_one_another_once():
    ax = losses("a")
    for title in ("median", "median", "range"):
        style.legend_above(ax, title=title)
    assert ax.figure.legends[0].get_title().get_text() == "median\nrange"


def test_the_legend_has_as_few_rows_as_fit_its_width():
    heights = []
    for names in ("abcd", [f"a longer name, number {i}" for i in range(4)]):
        figure = losses(names).figure
        (legend,) = figure.legends
        assert legend.get_window_extent().width <= figure.bbox.width
        heights.append(legend.get_window_extent().height / figure.dpi)
        # What the legend takes is added to the height of a figure of its own.
        assert figure.get_figheight() - heights[-1] == pytest.approx(2.3)
    assert heights[1] > heights[0] + 0.1  # a row more


def test_references_are_told_apart_by_their_dash():
    ax = Figure().add_subplot()
    for value in (0.4, 0.5, 0.6):
        style.reference_line(ax, value, "level")
    style.reference_line(ax, 30, "half", upright=True)
    *across, upright = ax.get_lines()
    assert [line.get_ydata()[0] for line in across] == [0.4, 0.5, 0.6]
    assert (upright.get_xdata()[0], upright.get_label()) == (30, "half: 30")
    assert len({str(line._dash_pattern) for line in ax.get_lines()}) == 4


def test_draws_on_the_axes_of_a_user_in_this_style():
    ax = Figure().add_subplot()
    assert losses("ab", ax) is ax
    assert ax.figure.get_size_inches().tolist() == list(mpl.rcParams["figure.figsize"])
    assert {text.get_fontsize() for text in ax.figure.legends[0].get_texts()} == {7}
    assert ax.figure.get_layout_engine() is not None  # makes the room for the legend


WEIGHT = np.array([-1.2, 0.5]), np.array([True, False]), np.array([2, 3]), np.array([0.9, 0.1])
LOSSES = {"one": [0.6, 0.5], "d = 2": [[0.7, 0.4], [0.6, 0.3]]}


@pytest.mark.parametrize(
    "make",
    [
        lambda rgb: plot_embedding(rgb[:, :2], rgb).figure,
        lambda rgb: plot_embedding(rgb, rgb).figure,
        lambda rgb: plot_moments([0, 9], np.stack([rgb, rgb * 2]), rgb, count=2),
        lambda rgb: plot_members([[rgb[:, :2] * (1, 0), rgb[:, 1:]]], rgb, [["a", "b"]]),
        lambda rgb: plot_losses(LOSSES, best=0.3, base_rate=0.5).figure,
        lambda rgb: plot_quality_by_dimension([1, 2], [3, 2], [2, 1], [4, 3]).figure,
        lambda rgb: plot_recovery_by_weight(*WEIGHT).figure,
    ],
    ids=[
        *("embedding", "embedding_3d", "moments", "members"),
        *("losses", "quality", "weight"),
    ],
)
def test_the_same_figure_gives_the_same_bytes(make, rgb, tmp_path):
    figure = make(rgb)
    first = style.save_figure(figure, tmp_path / "first")
    again = style.save_figure(figure, tmp_path / "again")
    with mpl.rc_context({"font.size": 20, "savefig.dpi": 50, "pdf.fonttype": 3}):
        anew = style.save_figure(make(rgb), tmp_path / "anew")
    for one, two, three in zip(first, again, anew):
        assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_saves_png_and_pdf_and_nothing_else(rgb, tmp_path):
    figure = plot_embedding(rgb[:, :2], rgb).figure
    png, pdf = style.save_figure(figure, tmp_path / "new" / "main.v2")
    assert (png.name, pdf.name) == ("main.v2.png", "main.v2.pdf")
    assert sorted(png.parent.iterdir()) == [pdf, png]
    plain = tmp_path / "plain"
    plain.touch()
    assert png.stat().st_mode == pdf.stat().st_mode == plain.stat().st_mode
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"Software" not in png.read_bytes()
    content = pdf.read_bytes()
    assert b"/FontFile2" in content  # TrueType, embedded
    assert b"CreationDate" not in content
    assert b"/Type3" not in content


def test_a_file_is_replaced_whole_or_kept(rgb, tmp_path, monkeypatch):
    figure = plot_embedding(rgb[:, :2], rgb).figure
    (png,) = style.save_figure(figure, tmp_path / "main", formats=["png"])
    before = png.read_bytes()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        style.save_figure(figure, tmp_path / "main", formats=["png"])
    assert list(tmp_path.iterdir()) == [png]
    assert png.read_bytes() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: style.save_figure(Figure(), "x", formats=["jpg"]), r"\['jpg'\]"),
        (lambda: style.letter([]), "1 to 26, got 0"),
        (lambda: style.panels(0, 1, height=2), "at least 1, got 0 and 1"),
        (lambda: style.panels(1, 1, height=0), "above 0 inches, got 0"),
        (lambda: losses("a", best=np.nan), "must be finite, got nan"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


CUNEIFORM = "\U00012000\U00012001 sign"


def test_a_name_that_no_font_can_draw_is_escaped_and_said_in_one_line():
    with pytest.warns(UserWarning, match="no font here") as said:
        drawn = style.legible_names(["sign", CUNEIFORM, "a\nb", CUNEIFORM, "\U00012002"])
    assert drawn == ["sign", r"\U00012000\U00012001 sign", "a b", drawn[1], r"\U00012002"]
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert "3 names" in str(said[0].message)
    assert style.legible_names(["sign", "Ω", " "]) == ["sign", "Ω", ""]  # and nothing is said


def test_a_fallback_that_is_installed_draws_what_the_font_lacks(monkeypatch):
    """A font of matplotlib's own has letters that DejaVu Sans lacks."""
    lacking = get_font(findfont("STIXGeneral")).get_charmap().keys() - style._glyphs()
    text = chr(min(lacking))
    with monkeypatch.context() as patch:
        patch.setattr(style, "_FALLBACKS", ("No Such Font", "STIXGeneral"))
        style._fonts.cache_clear()
        style._glyphs.cache_clear()
        assert style._fonts() == ["DejaVu Sans", "STIXGeneral"]
        assert style.legible_names([text]) == [text]
        ax = plot_items(np.eye(3)[:, :2], ["plain", text, "other"])
        style.settle_layout(ax.figure)  # matplotlib would warn of a missing glyph
    style._fonts.cache_clear()
    style._glyphs.cache_clear()
    assert style.legible(text) != text


# Colours and markers of items


def contrast(one, other):
    """The contrast ratio of two sRGB colours [3] in 0..1, by WCAG 2."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    high, low = sorted((part @ (0.2126, 0.7152, 0.0722) for part in linear), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_items_without_colours_and_groups_have_one_hue_that_is_seen_on_white_and_on_dark():
    for found in (
        style.item_looks(3),
        style.item_looks(3, groups=["", None, float("nan")]),
    ):
        assert (found.rgb == found.rgb[0]).all()
        assert contrast(found.rgb[0], np.ones(3)) >= 3
        assert contrast(found.rgb[0], np.array([0x1C, 0x1E, 0x21]) / 255) >= 3  # page.css
        assert [look.label for look in found.looks] == [""]
        assert found.groups is None
        assert not found.own


@pytest.mark.parametrize("number", [1, 2, 8, 9, 12, 13, 40])
def test_no_two_groups_share_a_marker_and_the_smallest_are_other(number):
    groups = [f"g{place:02}" for place in range(number) for _ in range(number - place)]
    found = style.item_looks(len(groups), groups=groups)
    named = min(number, 12)
    wanted = [f"g{place:02}" for place in range(named)] + ["other"] * (number > 12)
    assert [look.label for look in found.looks] == wanted
    assert len({(look.marker, look.filled) for look in found.looks[:named]}) == named
    labels = [found.looks[kind].label for kind in found.kind]
    assert all(label in (group, "other") for label, group in zip(labels, groups))
    assert found.groups == groups


def test_numbers_are_groups_and_a_group_called_other_is_no_second_entry():
    found = style.item_looks(6, groups=[2, 2, 10, "other", None, ""])
    assert [look.label for look in found.looks] == ["2", "10", "other"]
    assert found.kind.tolist() == [0, 0, 1, 2, 2, 2]
    assert found.groups == ["2", "2", "10", "other", "", ""]


def test_colours_of_their_own_are_kept():
    rgb = np.random.default_rng(0).random((4, 3))
    found = style.item_looks(4, rgb)
    np.testing.assert_array_equal(found.rgb, rgb)
    assert found.own
    for wrong, message in ((rgb[:3], r"\[4, 3\]"), (255 * rgb, "divide")):
        with pytest.raises(ValueError, match=message):
            style.item_looks(4, wrong)
    with pytest.raises(ValueError, match="not both"):
        style.item_looks(4, rgb, ["a"] * 4)
    with pytest.raises(ValueError, match="one for each item, got 3"):
        style.item_looks(4, groups=["a"] * 3)


@pytest.mark.parametrize("marker", style.SHAPES[1:8])
def test_markers_have_the_area_of_a_disc_of_diameter_one(marker):
    x, y = style.Look("", "#000000", marker).outline().T
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert area == pytest.approx(np.pi / 4)
    assert np.hypot(x, y).max() < 1
