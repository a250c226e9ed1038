"""What the tests of figures share."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.transforms import Bbox


@pytest.fixture
def nothing_left_open():
    """Fail if a figure stays open in pyplot or the user's settings change."""
    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.fixture
def rgb():
    """Colours [40, 3] in 0..1; the first is white, which must stay visible."""
    colours = np.random.default_rng(0).uniform(size=(40, 3))
    colours[0] = 1
    return colours


def inside(page, box):
    """Whether a box lies on the page, with half a pixel to spare."""
    return page.padded(0.5).count_contains([box.min, box.max]) == 2


@pytest.fixture
def on_the_page():
    """A function that asserts that nothing on a saved figure is cut or overlaps."""

    def check(figure):
        figure.draw_without_rendering()
        page = figure.bbox
        panes = [Bbox.union([ax.get_tightbbox(), ax.get_window_extent()]) for ax in figure.axes]
        legends = [legend.get_window_extent() for legend in figure.legends]
        assert len(legends) <= 1
        boxes = [*panes, *legends]
        for number, box in enumerate(boxes):
            assert inside(page, box)
            assert box.padded(-1).count_overlaps(boxes[number + 1 :]) == 0
        for ax in figure.axes:
            assert ax.get_legend() is None
            texts = [text.get_window_extent() for text in ax.texts if text.get_text()]
            titles = [ax.get_title(loc="left"), ax.get_title()]
            extents = [ax._left_title.get_window_extent(), ax.title.get_window_extent()]
            titles = [box for text, box in zip(titles, extents) if text]
            for number, box in enumerate(titles):
                assert inside(page, box)
                assert box.count_overlaps([*titles[number + 1 :], *texts]) == 0
            for axis in (ax.xaxis, ax.yaxis):
                shown = [tick for tick in axis.get_ticklabels() if tick.get_text()]
                view = ax.get_window_extent().padded(2)
                ticks = [tick.get_window_extent() for tick in shown]
                ticks = [box for box in ticks if view.padded(30).overlaps(box)]
                for number, box in enumerate(ticks):
                    assert box.padded(-0.5).count_overlaps(ticks[number + 1 :]) == 0

    return check
