"""What notebooks show of results, and that showing or drawing changes no settings of the user."""

import base64
import dataclasses
import io
import re
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import colour_embed as ce
from colour_embed.config import Config
from colour_embed.runs import Fit, Progress, SweepResult
from colour_embed.viz.curves import plot_losses
from colour_embed.viz.embedding import plot_items, plot_members, plot_moments
from colour_embed.viz.style import panels, save_figure

ITEMS, EPOCHS = 30, 5
RANDOM = np.random.default_rng(0)


def fit_of(dim=2, kernel=-2.5, epochs=EPOCHS, items=ITEMS, **changes):
    fit = Fit(
        config=Config(dim=dim, epochs=EPOCHS, seed=3),
        embedding=RANDOM.normal(size=(items, dim)).astype(np.float32),
        kernel=kernel,
        bias=0.75,
        loss=np.linspace(0.7, 0.31234, EPOCHS, dtype=np.float32)[:epochs],
        mse=np.zeros(epochs, np.float32),
        epoch=np.arange(2),
        snapshots=RANDOM.normal(size=(2, items, dim)),
        status="done",
        diverged_epoch=None,
    )
    return dataclasses.replace(fit, **changes)


def sweep_of():
    """Two members of 1-D, of which one is trapped, and two of 2-D, of which one diverged."""
    members = [Config(dim=dim, seed=seed) for dim in (1, 2) for seed in (0, 1)]
    loss = np.array([[0.7, 0.4], [0.7, 0.5], [0.6, 0.3], [0.9, np.nan]], np.float32)
    return SweepResult(
        config=members[0],
        members=members,
        embedding=RANDOM.normal(size=(4, ITEMS, 2)).astype(np.float32),
        kernel=np.array([-1, 1, -1, -1], np.float32),
        bias=np.zeros(4, np.float32),
        initial_kernel=np.zeros(4, np.float32),
        loss=loss,
        mse=loss,
        diverged=np.array([0, 0, 0, 2]),
        epoch=np.arange(3),
        snapshots=RANDOM.normal(size=(4, 3, ITEMS, 2)),
    )


def table_of(html):
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def picture_of(html):
    (source,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return Image.open(io.BytesIO(base64.b64decode(source)))


def test_a_fit_shows_its_result():
    html = fit_of()._repr_html_()
    assert dict(table_of(html)) == {
        "head": "free",
        "items": "30",
        "dim": "2",
        "seed": "3",
        "epochs": "5 of 5, done",
        "loss": "0.3123 nats per pair",
        "weight": "-2.5000",
        "bias": "0.7500",
    }
    picture = np.asarray(picture_of(html).convert("RGB")).reshape(-1, 3)
    assert (picture == (0x00, 0x72, 0xB2)).all(axis=1).sum() > 100  # the dots
    assert len(html) < 100_000


def test_the_sign_trap_is_told():
    shown = dict(table_of(fit_of(kernel=0.5)._repr_html_()))
    assert shown["weight"] == "0.5000, in the sign trap: similar items repel"


@pytest.mark.parametrize(
    "fit",
    [
        fit_of(dim=1),
        fit_of(dim=4),
        fit_of(epochs=0),
        fit_of(items=1),
        fit_of(items=20_000),
        fit_of(loss=np.full(EPOCHS, np.nan, np.float32)),
        fit_of(embedding=np.full((ITEMS, 2), np.nan, np.float32)),
        fit_of(embedding=np.zeros((ITEMS, 3), np.float32)),
    ],
    ids=["1-D", "4-D", "untrained", "one item", "many", "no loss", "not finite", "all at zero"],
)
def test_every_fit_can_be_shown(fit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert min(picture_of(fit._repr_html_()).size) > 100


def test_a_sweep_shows_a_row_per_dimension():
    html = sweep_of()._repr_html_()
    assert "SweepResult: 4 members, head free" in html
    assert table_of(html) == [
        ["dim", "members", "lowest loss", "median loss", "trapped", "diverged"],
        ["1", "2", "0.4000", "0.4500", "50%", "0%"],
        ["2", "2", "0.3000", "0.6000", "0%", "50%"],
    ]
    assert picture_of(html).size[0] > 300


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(100, 500), "100 of 500"),
        (Progress(100, 500, 0.36214, rate=40.0), "100 of 500, loss 0.3621, 10 s left"),
        (
            Progress(1500, 6000, 0.4, members_done=3, members=12),
            "1,500 of 6,000, 3 of 12 members done, loss 0.4000",
        ),
    ],
)
def test_progress_prints_as_one_line(progress, line, capsys):
    print(progress)
    assert capsys.readouterr().out == f"{line}\n"


XY, RGB = RANDOM.normal(size=(ITEMS, 2)), RANDOM.uniform(size=(ITEMS, 3))
SHOW = {
    "Fit": lambda folder: fit_of()._repr_html_(),
    "SweepResult": lambda folder: sweep_of()._repr_html_(),
    "Animation": lambda folder: ce.animate(
        [0, 1], np.stack([XY, XY]), RGB, size=(320, 240)
    )._repr_html_(),
    "animate_grid": lambda folder: ce.animate_grid(sweep_of(), RGB)._repr_html_(),
    "plot_embedding": lambda folder: ce.plot_embedding(XY, RGB),
    "plot_embedding 3-D": lambda folder: ce.plot_embedding(RGB, RGB),
    "plot_moments": lambda folder: plot_moments([0, 1], np.stack([XY, XY]), RGB),
    "plot_members": lambda folder: plot_members(XY[None, None], RGB, [["a"]]),
    "plot_items": lambda folder: plot_items(XY, [f"item {k}" for k in range(ITEMS)]),
    "plot_losses": lambda folder: plot_losses({"a": [0.5, 0.4]}),
    "panels": lambda folder: panels(1, 2, height=2),
    "save_figure": lambda folder: save_figure(ce.plot_embedding(XY, RGB).figure, folder / "x"),
}


@pytest.mark.parametrize("name", SHOW)
def test_showing_changes_neither_rc_params_nor_warning_filters(name, tmp_path, nothing_left_open):
    with mpl.rc_context({"font.size": 31.0, "lines.linewidth": 7.0}):  # of the user
        params, filters = dict(mpl.rcParams), list(warnings.filters)
        SHOW[name](tmp_path)
        assert dict(mpl.rcParams) == params
        assert warnings.filters == filters
