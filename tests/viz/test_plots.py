import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from colour_embed.viz import plots

BEST = 0.32088
BASE_RATE = 0.53342


@pytest.fixture
def rgb():
    colours = np.random.default_rng(0).uniform(size=(40, 3))
    colours[0] = 1  # white, which must stay visible
    return colours


@pytest.fixture
def losses():
    epoch = np.arange(1, 51)
    return {"2-D": 0.33 + 0.35 / epoch, "3-D": 0.31 + 0.4 / epoch[:20], "trap": 0.5 + 0.1 / epoch}


@pytest.fixture
def snapshots(rgb):
    epoch = np.unique((np.linspace(0, 499**0.5, 60) ** 2).astype(int))
    epoch[-1] = 500
    growth = 0.05 + 2 * (1 - np.exp(-epoch / 30))

    def make(dim):
        flat = np.random.default_rng(1).uniform(-1, 1, size=(len(rgb), dim))
        return epoch, (growth[:, None, None] * flat).astype(np.float16)

    return make


@pytest.fixture(autouse=True)
def _nothing_left_open():
    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_embedding_shows_each_item_in_its_colour(rgb):
    ax = plots.plot_embedding(rgb[:, :2] * 4, rgb, title="colours")
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_offsets(), rgb[:, :2] * 4)
    np.testing.assert_allclose(points.get_facecolors()[:, :3], rgb)
    np.testing.assert_allclose(points.get_facecolors()[:, 3], 1)
    np.testing.assert_allclose(points.get_edgecolors()[0, :3], to_rgb("0.6"))
    np.testing.assert_allclose(points.get_linewidths(), 0.3)
    np.testing.assert_allclose(points.get_sizes(), 20)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("$x_0$", "$x_1$", "colours")
    assert ax.get_aspect() == "auto"
    assert plots.plot_embedding(rgb[:, :2], rgb, equal=True).get_aspect() == 1


def test_every_point_lies_within_the_limits(rgb):
    ax = plots.plot_embedding(rgb[:, :2] * 4, rgb)
    for values, (low, high) in zip(rgb[:, :2].T * 4, (ax.get_xlim(), ax.get_ylim())):
        assert low < values.min() < values.max() < high


def test_embedding_3d_keeps_true_colours_and_the_view(rgb):
    ax = plots.plot_embedding_3d(rgb * 2, rgb, azimuth=30, elevation=10)
    ax.figure.draw_without_rendering()  # where shading by depth would happen
    (points,) = ax.collections
    drawn = np.unique(points.get_facecolors()[:, :3].round(6), axis=0)
    np.testing.assert_allclose(drawn, np.unique(rgb.round(6), axis=0))
    np.testing.assert_allclose(np.sort(points._offsets3d, axis=1), np.sort(rgb.T * 2, axis=1))
    assert (ax.azim, ax.elev) == (30, 10)
    labels = (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel())
    assert labels == ("$x_0$", "$x_1$", "$x_2$")


def test_losses_start_at_epoch_one_and_differ_without_colour(losses):
    ax = plots.plot_losses(losses)
    lines = ax.get_lines()
    for line, (label, loss) in zip(lines, losses.items(), strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.arange(1, len(loss) + 1))
        np.testing.assert_allclose(line.get_ydata(), loss)
        assert line.get_label() == label
    assert len({line.get_linestyle() for line in lines}) == len(lines)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(losses)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "training loss (nats per pair)")


def test_losses_are_read_against_two_labelled_lines(losses):
    ax = plots.plot_losses(losses, best=BEST, base_rate=BASE_RATE)
    levels = [line.get_ydata()[0] for line in ax.get_lines()[len(losses) :]]
    assert levels == [BEST, BASE_RATE]
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["best without memorising: 0.3209", "always guessing the base rate: 0.5334"]
    low, high = ax.get_ylim()
    assert low < BEST < BASE_RATE < high
    assert len(ax.get_legend().get_texts()) == len(losses)


def test_legend_and_labels_stay_clear_of_each_other_and_on_the_page(losses, tmp_path):
    ax = plots.plot_losses(losses, best=BEST, base_rate=BASE_RATE)
    plots.save_figure(ax.figure, tmp_path / "losses", formats=["png"])  # settles the layout
    legend = ax.get_legend().get_window_extent()
    page = ax.figure.bbox
    assert legend.y0 >= ax.get_window_extent().y1
    for box in (legend, *(text.get_window_extent() for text in ax.texts)):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1


def test_labels_of_3d_axes_stay_on_the_page(snapshots, rgb, tmp_path):
    sheet = plots.plot_moments(*snapshots(3), rgb)
    for figure in (sheet, plots.plot_embedding_3d(rgb, rgb).figure):
        plots.save_figure(figure, tmp_path / "deep", formats=["png"])
        for ax in figure.axes:
            for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
                box = axis.label.get_window_extent()
                assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
                assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_one_epoch_is_drawn_as_a_point():
    (line,) = plots.plot_losses({"short": [0.5]}).get_lines()
    assert line.get_marker() == "o"


@pytest.mark.parametrize("dim", [2, 3])
def test_moments_spread_over_the_training(snapshots, rgb, dim):
    epoch, embedding = snapshots(dim)
    loss = 0.33 + 0.3 / np.arange(1, 501)
    figure = plots.plot_moments(epoch, embedding, rgb, loss=loss)
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
    assert figure.get_size_inches()[0] == plots.DOUBLE_COLUMN
    widths = [np.ptp(ax.get_xlim()) for ax in figure.axes]
    assert widths[-1] > 10 * widths[0]  # each panel has its own limits


def test_moments_show_the_embedding_of_their_epoch(snapshots, rgb):
    epoch, embedding = snapshots(2)
    for ax in plots.plot_moments(epoch, embedding, rgb).axes:
        now = int(ax.get_title().removeprefix("epoch "))
        (points,) = ax.collections
        expected = embedding[np.flatnonzero(epoch == now)[0]]
        np.testing.assert_array_equal(points.get_offsets(), expected.astype(float))


def test_few_snapshots_make_few_panels(snapshots, rgb):
    epoch, embedding = snapshots(2)
    assert len(plots.plot_moments(epoch[:1], embedding[:1], rgb).axes) == 1
    figure = plots.plot_moments(epoch[-4:], embedding[-4:], rgb)
    assert [ax.get_title() for ax in figure.axes] == [f"epoch {now}" for now in epoch[-4:]]


def test_draws_on_the_axes_it_is_given(rgb, losses):
    figure = Figure()
    flat, other = figure.add_subplot(1, 3, 1), figure.add_subplot(1, 3, 2)
    deep = figure.add_subplot(1, 3, 3, projection="3d")
    assert plots.plot_embedding(rgb[:, :2], rgb, flat) is flat
    assert plots.plot_losses(losses, other) is other
    assert plots.plot_embedding_3d(rgb, rgb, deep) is deep
    assert figure.axes == [flat, other, deep]
    # Dashes come with the lines, whoever made the axes.
    assert len({line.get_linestyle() for line in other.get_lines()}) == len(losses)


def test_style_holds_whatever_the_user_has_set():
    with mpl.rc_context({"font.size": 20, "axes.grid": True}):
        with plots.style():
            assert mpl.rcParams["font.size"] == 8
            assert mpl.rcParams["pdf.fonttype"] == 42
            assert not mpl.rcParams["axes.grid"]
        assert mpl.rcParams["font.size"] == 20


@pytest.fixture
def bands():
    """Losses [M, E] of two groups; one member of the second diverges at epoch 21."""
    epoch = np.arange(1, 51)
    spread = np.linspace(-0.02, 0.02, 5)[:, None]
    groups = {
        "d = 2 (5 recovered)": 0.33 + spread + 0.35 / epoch,
        "d = 3": 0.31 + spread[:4] * epoch,
    }
    groups["d = 3"][0, 20:] = np.inf
    return groups


def test_bands_hold_the_middle_half_of_the_members(bands):
    ax = plots.plot_loss_bands(bands, best=BEST, base_rate=BASE_RATE)
    lines = ax.get_lines()[:2]
    assert len({line.get_linestyle() for line in lines}) == 2
    for line, band, group in zip(lines, ax.collections, bands.values(), strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.arange(1, 51))
        outline = band.get_paths()[0].vertices
        for column in (0, 49):
            alive = group[np.isfinite(group[:, column]), column]
            assert line.get_ydata()[column] == pytest.approx(np.median(alive))
            edges = outline[outline[:, 0] == column + 1, 1]
            low, high = np.quantile(alive, [0.25, 0.75])
            assert (edges.min(), edges.max()) == pytest.approx((low, high))
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(bands)
    assert "band: middle half" in legend.get_title().get_text()
    assert len(ax.texts) == 2
    assert ax.get_xscale() == "log"


def test_bands_end_where_the_last_member_diverged():
    loss = np.full((2, 30), 0.4)
    loss[:, 10:] = np.nan
    (line,) = plots.plot_loss_bands({"a": loss}).get_lines()
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 11))
    (line,) = plots.plot_loss_bands({"a": [[0.4], [0.5]]}).get_lines()
    assert line.get_marker() == "o"


def test_quality_marks_the_selected_dimension_and_its_intervals():
    mean, half = np.array([0.41, 0.34, 0.33, 0.35]), np.array([0.01, 0.02, 0.01, np.nan])
    ax = plots.plot_quality_by_dimension(
        np.array([1, 2, 3, 5]), mean, mean - half, mean + half, selected=3, floor=BEST, label="loss"
    )
    (bars,) = ax.containers
    np.testing.assert_allclose(bars[0].get_xydata(), np.stack([[1, 2, 3, 5], mean], axis=1))
    segments = bars[2][0].get_segments()[:3]
    expected = [[x, y] for x, y in zip([1, 2, 3], zip(mean - half, mean + half))]
    assert [[s[0][0], tuple(s[:, 1])] for s in segments] == [
        [x, pytest.approx(y)] for x, y in expected
    ]
    filled = [line for line in ax.get_lines() if line.get_label() == "selected: $d$ = 3"]
    assert [line.get_xydata().tolist() for line in filled] == [[[3, 0.33]]]
    assert bars[0].get_markerfacecolor() == "white"
    assert ax.get_xticks().tolist() == [1, 2, 3, 5]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("dimension $d$", "loss")
    assert [text.get_text() for text in ax.texts] == ["best possible: 0.3209"]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["mean and 95 % interval", "selected: $d$ = 3"]


@pytest.fixture
def trap():
    weight = np.array([-1.2, -0.4, 0.02, 0.5, 1.1, 0.8, -0.9])
    recovered = np.array([True, True, True, False, False, False, True])
    spearman = np.array([0.9, 0.95, 0.8, 0.1, -0.1, np.nan, 0.85])
    return weight, recovered, np.array([2, 2, 3, 3, 2, 2, 3]), spearman


@pytest.mark.parametrize("measured", [True, False])
def test_recovery_tells_outcome_and_dimension_without_colour(trap, measured):
    weight, recovered, dims, spearman = trap
    spearman = spearman if measured else None
    ax = plots.plot_recovery_by_weight(weight, recovered, dims, spearman=spearman)
    seen = {}
    for line in ax.get_lines():
        if line.get_marker() in "os":
            hollow = line.get_markerfacecolor() == "none"
            seen[line.get_marker(), hollow] = sorted(line.get_xdata())
    lost = [] if measured else [0.8]
    assert seen == {
        ("o", False): [-1.2, -0.4],
        ("o", True): [*lost, 1.1],
        ("s", False): [-0.9, 0.02],
        ("s", True): [0.5],
    }
    legend = ax.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["$d$ = 2: 2 / 2", "$d$ = 3: 2 / 1"] + ["diverged: 1"] * measured
    assert legend.get_title().get_text() == "4 recovered (filled) / 3 failed (hollow)"
    assert [text.get_text() for text in ax.texts] == ["weight 0"]
    heights = [line.get_xydata() for line in ax.get_lines() if line.get_marker() in "os"]
    heights = dict(np.concatenate(heights).tolist())
    if measured:
        assert heights == {w: s for w, s in zip(weight, spearman) if np.isfinite(s)}
    else:
        assert all(abs(heights[w] - r) <= 0.25 for w, r in zip(weight, recovered))
        assert [text.get_text() for text in ax.get_yticklabels()] == ["failed", "recovered"]


def test_members_stand_in_a_grid_and_failures_show(rgb):
    members = np.random.default_rng(2).normal(size=(2, 3, 40, 2))
    members[0, 0, :, 1] = 0  # one dimension
    members[1, 2] = np.nan
    titles = [[f"seed {seed}, d = {dim}" for dim in (1, 2, 3)] for seed in (0, 1)]
    failed = np.zeros((2, 3), dtype=bool)
    failed[1, 1:] = True
    figure = plots.plot_members(members, rgb, titles, failed=failed)
    panels = np.reshape(figure.axes, (2, 3))
    for place, ax in np.ndenumerate(panels):
        bad = bool(failed[place])
        assert ax.get_title() == titles[place[0]][place[1]] + ", failed" * bad
        assert ax.spines["top"].get_linewidth() == (2 if bad else 0.4)
        assert list(ax.get_xticks()) == list(ax.get_yticks()) == []
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
    assert figure.get_size_inches()[0] == plots.SINGLE_COLUMN
    wide = plots.plot_members(members.reshape(1, 6, 40, 2), rgb, [[""] * 6])
    assert wide.get_size_inches()[0] == plots.DOUBLE_COLUMN


def test_sweep_figures_fit_on_the_page(bands, trap, tmp_path):
    dims = np.arange(1, 9)
    many = np.resize(dims, 200)
    figures = [
        plots.plot_loss_bands(bands, best=BEST, base_rate=BASE_RATE).figure,
        plots.plot_quality_by_dimension(
            dims, dims, dims, dims, selected=3, floor=0.5, statistic="interquartile mean"
        ).figure,
        plots.plot_recovery_by_weight(*trap[:3], spearman=trap[3]).figure,
        plots.plot_recovery_by_weight(many / 8, many > 9, many).figure,
    ]
    for figure in figures:
        plots.save_figure(figure, tmp_path / "page", formats=["png"])
        (ax,) = figure.axes
        legend = ax.get_legend().get_window_extent()
        assert legend.y0 >= ax.get_window_extent().y1
        for box in (legend, *(text.get_window_extent() for text in ax.texts)):
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_sweep_figures_draw_on_the_axes_they_are_given(bands, trap):
    figure = Figure()
    axes = figure.subplots(1, 3)
    assert plots.plot_loss_bands(bands, axes[0]) is axes[0]
    assert plots.plot_quality_by_dimension([1], [2], [1], [3], axes[1]) is axes[1]
    assert plots.plot_recovery_by_weight(*trap[:3], axes[2]) is axes[2]
    assert figure.axes == list(axes)


@pytest.mark.parametrize(
    "kind",
    ["embedding", "embedding_3d", "losses", "moments", "bands", "quality", "weight", "members"],
)
def test_the_same_figure_gives_the_same_bytes(kind, rgb, losses, snapshots, bands, trap, tmp_path):
    line = np.stack([rgb[:, 0], np.zeros(len(rgb))], axis=1)
    make = {
        "embedding": lambda: plots.plot_embedding(rgb[:, :2], rgb).figure,
        "embedding_3d": lambda: plots.plot_embedding_3d(rgb, rgb).figure,
        "losses": lambda: plots.plot_losses(losses, best=BEST, base_rate=BASE_RATE).figure,
        "moments": lambda: plots.plot_moments(*snapshots(3), rgb, count=2).figure,
        "bands": lambda: plots.plot_loss_bands(bands, best=BEST).figure,
        "quality": lambda: plots.plot_quality_by_dimension([1, 2], [3, 2], [2, 1], [4, 3]).figure,
        "weight": lambda: plots.plot_recovery_by_weight(*trap[:3], spearman=trap[3]).figure,
        "members": lambda: plots.plot_members([[line, rgb[:, 1:]]], rgb, [["a", "b"]]),
    }[kind]
    figure = make()
    first = plots.save_figure(figure, tmp_path / "first")
    again = plots.save_figure(figure, tmp_path / "again")
    with mpl.rc_context({"font.size": 20, "savefig.dpi": 50, "pdf.fonttype": 3}):
        anew = plots.save_figure(make(), tmp_path / "anew")
    for one, two, three in zip(first, again, anew):
        assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_saves_png_and_pdf_and_nothing_else(rgb, tmp_path):
    figure = plots.plot_embedding(rgb[:, :2], rgb).figure
    png, pdf = plots.save_figure(figure, tmp_path / "new" / "main.v2")
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
    figure = plots.plot_embedding(rgb[:, :2], rgb).figure
    (png,) = plots.save_figure(figure, tmp_path / "main", formats=["png"])
    before = png.read_bytes()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(plots.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        plots.save_figure(figure, tmp_path / "main", formats=["png"])
    assert list(tmp_path.iterdir()) == [png]
    assert png.read_bytes() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rgb: plots.plot_embedding(rgb, rgb), r"\[C, 2\], got \(40, 3\)"),
        (lambda rgb: plots.plot_embedding(rgb[:5, :2], rgb), r"rgb must be \[5, 3\]"),
        (lambda rgb: plots.plot_embedding(rgb[:, :2], rgb * 255), "divide values"),
        (lambda rgb: plots.plot_embedding(rgb[:, :2] * np.nan, rgb), "not finite"),
        (lambda rgb: plots.plot_embedding_3d(rgb[:, :2], rgb), r"\[C, 3\], got \(40, 2\)"),
        (lambda rgb: plots.plot_embedding_3d(rgb, rgb, Figure().add_subplot()), "ax is flat"),
        (lambda rgb: plots.plot_losses({}), "empty"),
        (lambda rgb: plots.plot_losses({"a": []}), r"losses\['a'\] must be \[E\]"),
        (lambda rgb: plots.plot_losses({"a": [[1.0]]}), r"losses\['a'\] must be \[E\]"),
        (lambda rgb: plots.plot_moments([0, 1], rgb[None], rgb), r"got \(2,\) and \(1, 40, 3\)"),
        (lambda rgb: plots.plot_moments([], np.zeros((0, 40, 2)), rgb), "F >= 1"),
        (lambda rgb: plots.plot_moments([1, 0], np.stack([rgb, rgb]), rgb), "above the one"),
        (lambda rgb: plots.plot_moments([0.5], rgb[None], rgb), "whole numbers"),
        (lambda rgb: plots.plot_moments([3], rgb[None], rgb, loss=[0.5, 0.4]), "each of 3 epochs"),
        (lambda rgb: plots.plot_moments([3], rgb[None], rgb, count=1), "2 to 26"),
        (lambda rgb: plots.plot_moments([3], rgb[None, :, :1], rgb), r"\[C, 2\] or \[C, 3\]"),
        (lambda rgb: plots.save_figure(Figure(), "x", formats=["jpg"]), r"\['jpg'\]"),
        (lambda rgb: plots.plot_loss_bands({}), "empty"),
        (lambda rgb: plots.plot_loss_bands({"a": [0.5]}), r"losses\['a'\] must be \[M, E\]"),
        (lambda rgb: plots.plot_loss_bands({"a": [[np.nan]]}), "no finite number"),
        (lambda rgb: quality(dims=[1, 2]), r"got \(2,\), \(1,\)"),
        (lambda rgb: quality(dims=[1.5]), "whole numbers"),
        (lambda rgb: quality(mean=[np.nan]), "leave those dimensions out"),
        (lambda rgb: quality(mean=[9]), "between its low and its high"),
        (lambda rgb: quality(selected=2), r"among \[1\], got 2"),
        (lambda rgb: recovery(dims=[1, 2]), r"got \(1,\), \(1,\) and \(2,\)"),
        (lambda rgb: recovery(recovered=[1]), "got int64 and int64"),
        (lambda rgb: recovery(initial_weight=[np.inf]), "not finite"),
        (lambda rgb: recovery(spearman=[0.5, 0.5]), r"must be \[1\], got \(2,\)"),
        (lambda rgb: recovery(spearman=[np.nan]), "a recovered member"),
        (lambda rgb: plots.plot_members(rgb[:, :2], rgb, [[""]]), r"got \(40, 2\)"),
        (lambda rgb: plots.plot_members([[rgb[:, :2]]], rgb, [["", ""]]), r"\[1\]\[1\], a text"),
        (lambda rgb: plots.plot_members([[rgb[:, :2]]], rgb[:3], [[""]]), "a row per item"),
        (lambda rgb: plots.plot_members([[rgb[:, :2]]], rgb, [[""]], failed=[[1]]), "got .* int64"),
    ],
)
def test_says_what_is_wrong(call, message, rgb):
    with pytest.raises(ValueError, match=message):
        call(rgb)


def quality(**changes):
    given = {"dims": [1], "mean": [2.0], "low": [1.0], "high": [3.0]}
    return plots.plot_quality_by_dimension(**given | changes)


def recovery(**changes):
    given = {"initial_weight": [0.5], "recovered": [True], "dims": [2]}
    return plots.plot_recovery_by_weight(**given | changes)


def _names_shown(ax):
    """The names beside the points, and their boxes in pixels."""
    ax.figure.draw_without_rendering()
    texts = [text for text in ax.texts if text.get_text()]
    return [text.get_text() for text in texts], [text.get_window_extent() for text in texts]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_no_name_covers_another_nor_leaves_the_axes(rgb, dim):
    points = np.random.default_rng(3).normal(size=(40, dim))
    names = [f"item {place}" for place in range(40)]
    ax = plots.plot_items(points, names, rgb=rgb)
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
        _names_shown(plots.plot_items(crowd, names, rgb=rgb, rank=rank))[0]
        for rank in (np.arange(40), np.arange(40), -np.arange(40))
    ]
    assert shown[0] == shown[1]
    assert 0 < len(shown[0]) < 40
    assert shown[2][0] == "item 39"
    assert shown[0] != shown[2]


def test_names_are_text_whatever_they_hold(tmp_path):
    names = ["$x^2$", "$", "\\frac", "<b>", "_low", "a\nb", "日本", "x" * 90, " ", "\u202e"]
    points = np.random.default_rng(0).normal(size=(10, 2))
    groups = ["$a$", "_b", "", "$a$", "日本", "x" * 90, "", "", "", ""]
    ax = plots.plot_items(points, names, groups=groups, title="$5 and $6")
    shown, _ = _names_shown(ax)
    assert {"$x^2$", "$", "\\frac", "<b>", "_low", "a b", "□□"} <= set(shown)
    assert plots.legible("x" * 90) == "x" * 27 + "…"
    assert not any(text.get_parse_math() for text in ax.texts)
    legend = ax.get_legend().get_texts()
    assert {"$a$", "_b", "□□", plots.OTHER} <= {text.get_text() for text in legend}
    assert not any(text.get_parse_math() for text in legend)
    assert ax.get_title("left") == "$5 and $6"
    plots.save_figure(ax.figure, tmp_path / "hostile")


def test_groups_are_told_apart_by_colour_and_shape():
    groups = [f"group {place % 10}" for place in range(45)]
    points = np.random.default_rng(0).normal(size=(45, 2))
    ax = plots.plot_items(points, groups, groups=groups)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["other", *(f"group {place}" for place in range(8))]
    rgb = plots.group_colours(groups)
    np.testing.assert_allclose(rgb[8], to_rgb("0.7"))
    np.testing.assert_allclose(rgb[0], rgb[10])
    assert len(np.unique(rgb, axis=0)) == 9
    for collection, label in zip(ax.collections, labels):
        np.testing.assert_allclose(
            collection.get_facecolors()[0, :3],
            to_rgb("0.7") if label == "other" else rgb[groups.index(label)],
        )


def test_items_that_cannot_be_drawn_are_refused(rgb):
    points = np.zeros((40, 2))
    names = [""] * 40
    with pytest.raises(ValueError, match="not both"):
        plots.plot_items(points, names, rgb=rgb, groups=names)
    with pytest.raises(ValueError, match="names and groups"):
        plots.plot_items(points, names[1:])
    with pytest.raises(ValueError, match="an embedding must be"):
        plots.plot_items(np.zeros((40, 4)), names)
    with pytest.raises(ValueError, match="projection"):
        plots.plot_items(np.zeros((40, 3)), names, Figure().add_subplot())
    with pytest.raises(ValueError, match="finite"):
        plots.plot_items(points + np.nan, names)


def test_calibration_shows_each_bin_with_its_interval():
    ax = plots.plot_calibration([0.1, 0.5], [0.2, 0.4], [0.1, 0.3], [0.3, 0.6], error=0.0123)
    bars = ax.containers[0]
    np.testing.assert_allclose(bars[0].get_xydata(), [[0.1, 0.2], [0.5, 0.4]])
    np.testing.assert_allclose(
        [segment[:, 1] for segment in bars[2][0].get_segments()], [[0.1, 0.3], [0.3, 0.6]]
    )
    assert "0.012" in ax.get_title("left")
    assert ax.get_xlim() == ax.get_ylim()
    assert 0.6 < ax.get_xlim()[1] < 0.7
    with pytest.raises(ValueError, match="between"):
        plots.plot_calibration([0.1], [0.2], [0.3], [0.4])
    with pytest.raises(ValueError, match="B >= 1"):
        plots.plot_calibration([], [], [], [])
