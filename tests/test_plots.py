import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from colour_embed import plots

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


@pytest.mark.parametrize("kind", ["embedding", "embedding_3d", "losses", "moments"])
def test_the_same_figure_gives_the_same_bytes(kind, rgb, losses, snapshots, tmp_path):
    make = {
        "embedding": lambda: plots.plot_embedding(rgb[:, :2], rgb).figure,
        "embedding_3d": lambda: plots.plot_embedding_3d(rgb, rgb).figure,
        "losses": lambda: plots.plot_losses(losses, best=BEST, base_rate=BASE_RATE).figure,
        "moments": lambda: plots.plot_moments(*snapshots(3), rgb, count=2).figure,
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
    ],
)
def test_says_what_is_wrong(call, message, rgb):
    with pytest.raises(ValueError, match=message):
        call(rgb)
