import numpy as np
import pytest

from colour_embed.viz.curves import plot_calibration, plot_losses
from colour_embed.viz.style import save_figure

pytestmark = pytest.mark.usefixtures("nothing_left_open")

BEST = 0.32088
BASE_RATE = 0.53342


@pytest.fixture
def losses():
    epoch = np.arange(1, 51)
    return {"2-D": 0.33 + 0.35 / epoch, "3-D": 0.31 + 0.4 / epoch[:20], "trap": 0.5 + 0.1 / epoch}


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


def entries(ax):
    (legend,) = ax.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_losses_start_at_epoch_one_and_differ_without_colour(losses):
    ax = plot_losses(losses)
    drawn = ax.get_lines()
    for line, (label, loss) in zip(drawn, losses.items(), strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.arange(1, len(loss) + 1))
        np.testing.assert_allclose(line.get_ydata(), loss)
        assert line.get_label() == label
    assert len({line.get_linestyle() for line in drawn}) == len(drawn)
    assert not ax.collections
    assert entries(ax) == list(losses)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "training loss (nats per pair)")


def test_losses_are_read_against_two_named_lines(losses):
    ax = plot_losses(losses, best=BEST, base_rate=BASE_RATE)
    levels = [line.get_ydata()[0] for line in ax.get_lines()[len(losses) :]]
    assert levels == [BEST, BASE_RATE]
    named = ["Bayes-optimal loss: 0.3209", "base-rate loss: 0.5334"]
    assert entries(ax) == [*losses, *named]
    low, high = ax.get_ylim()
    assert low < BEST < BASE_RATE < high


def test_one_epoch_is_drawn_as_a_point():
    (line,) = plot_losses({"short": [0.5]}).get_lines()
    assert (line.get_marker(), line.get_markevery()) == ("o", [0])


def test_bands_hold_the_middle_half_of_the_members(bands):
    ax = plot_losses(bands, best=BEST, base_rate=BASE_RATE)
    drawn = ax.get_lines()[:2]
    assert len({line.get_linestyle() for line in drawn}) == 2
    for line, band, group in zip(drawn, ax.collections, bands.values(), strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.arange(1, 51))
        outline = band.get_paths()[0].vertices
        for column in (0, 49):
            alive = group[np.isfinite(group[:, column]), column]
            assert line.get_ydata()[column] == pytest.approx(np.median(alive))
            edges = outline[outline[:, 0] == column + 1, 1]
            low, high = np.quantile(alive, [0.25, 0.75])
            assert (edges.min(), edges.max()) == pytest.approx((low, high))
    assert entries(ax)[:2] == list(bands)
    assert "band: middle half" in ax.figure.legends[0].get_title().get_text()
    assert ax.get_xscale() == "log"


def test_bands_end_where_the_last_member_diverged():
    loss = np.full((2, 30), 0.4)
    loss[:, 10:] = np.nan
    (line,) = plot_losses({"a": loss}).get_lines()
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 11))
    (line,) = plot_losses({"a": [[0.4], [0.5]]}).get_lines()
    assert line.get_marker() == "o"


def test_calibration_shows_each_bin_with_its_interval():
    ax = plot_calibration([0.1, 0.5], [0.2, 0.4], [0.1, 0.3], [0.3, 0.6], error=0.0123)
    bars = ax.containers[0]
    np.testing.assert_allclose(bars[0].get_xydata(), [[0.1, 0.2], [0.5, 0.4]])
    np.testing.assert_allclose(
        [segment[:, 1] for segment in bars[2][0].get_segments()], [[0.1, 0.3], [0.3, 0.6]]
    )
    assert entries(ax) == ["perfect calibration", "pairs, 2 bins, 95 % intervals"]
    assert "0.012" in ax.figure.legends[0].get_title().get_text()
    assert ax.get_xlim() == ax.get_ylim()
    assert 0.6 < ax.get_xlim()[1] < 0.7


def test_figures_fit_on_the_page(losses, bands, on_the_page, tmp_path):
    for ax in (
        plot_losses(losses, best=BEST, base_rate=BASE_RATE),
        plot_losses(bands | {f"d = {dim}": [[0.5, 0.4]] for dim in range(4, 12)}, best=BEST),
        plot_calibration([0.1, 0.5], [0.2, 0.4], [0.1, 0.3], [0.3, 0.6], error=0.0123),
    ):
        save_figure(ax.figure, tmp_path / "page", formats=["png"])
        on_the_page(ax.figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_losses({}), "empty"),
        (lambda: plot_losses({"a": []}), r"losses\['a'\] must be \[E\] or \[M, E\]"),
        (lambda: plot_losses({"a": [[[1.0]]]}), r"losses\['a'\] must be \[E\] or \[M, E\]"),
        (lambda: plot_losses({"a": 0.5}), r"losses\['a'\] must be \[E\] or \[M, E\]"),
        (lambda: plot_losses({"a": [[np.nan]]}), "no finite number"),
        (lambda: plot_losses({"a": [0.5]}, best=np.inf), "must be finite"),
        (lambda: plot_calibration([0.1], [0.2], [0.3], [0.4]), "between"),
        (lambda: plot_calibration([], [], [], []), "B >= 1"),
        (lambda: plot_calibration([0.1], [0.2], [0.1], [0.3, 0.4]), "B >= 1"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
