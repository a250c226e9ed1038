"""Time the training of the page in Chromium: its worker alone, and with the page that draws."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterator
from typing import Any

from experiments.benchmark import harness
from experiments.benchmark.harness import Part, Setting
from experiments.benchmark.record import ratio_lines

ABOUT = (
    "Seconds of the tutorial's training in two dimensions in the page. `alone` is the page's "
    "worker, whose messages nobody reads. `live` is the page as its readers use it, which draws "
    "the embedding while it is learned."
)
NAMES = ("alone", "live")

_PREPARE = """() => {
    const ended = () => new Promise((done) => {
        const look = setInterval(() => {
            if (!live || live.running) return;
            clearInterval(look);
            done();
        }, 5);
    });
    const script = new Blob([find("#learning").textContent], { type: "text/javascript" });
    window.timed = { ended, redraws: 0 };
    const clear = CanvasRenderingContext2D.prototype.clearRect;
    CanvasRenderingContext2D.prototype.clearRect = function (...place) {
        timed.redraws += this.canvas === panels[0].canvas;
        return clear.apply(this, place);
    };
    timed.alone = () => new Promise((done) => {
        const worker = new Worker(URL.createObjectURL(script));
        const settings = live.settings, began = performance.now();
        worker.onmessage = ({ data: { epoch } }) => {
            if (epoch !== settings.epochs) return;
            done({ seconds: (performance.now() - began) / 1000 });
            worker.terminate();
        };
        const pairs = pairsFor(settings);
        worker.postMessage({ settings, items: data.names.length, pairs, colours: rgb });
    });
    timed.live = async () => {
        timed.redraws = 0;
        const began = performance.now();
        find("#train").click();
        await ended();
        const seconds = (performance.now() - began) / 1000;
        return { seconds, loss: live.loss.at(-1), redraws_per_second: timed.redraws / seconds };
    };
}"""


def browser(setting: Setting) -> Part:
    """Measure seconds of a training in the page, with and without drawing, and redraws a second."""
    reasons: dict[str, str] = {}
    details: dict[str, Any] = {}
    with harness.noting("browser", reasons, setting.say), _page(setting) as page:
        runs = {name: functools.partial(_run, page, name, setting.epochs) for name in NAMES}
        details = harness.take_turns(setting, "browser", runs, {})
    if reasons:
        details = {name: harness.missing(reasons["browser"]) for name in NAMES}
    ratios = harness.round_ratios(details, [("live", "alone")])
    return Part(harness.counted(details), details, ratios)


def findings(details: dict[str, Any], ratios: dict[str, Any]) -> Iterator[str]:
    """Yield the ratio and the rate of redraws as sentences."""
    yield from ratio_lines(details, ratios)
    if harness.counted(details["live"]) is not None:
        yield f"the page redraws {details['live']['redraws_per_second']:.0f} times a second"


def _run(page: Any, name: str, epochs: int) -> dict[str, Any]:
    return {**page.evaluate(f"timed.{name}()"), "epochs_run": epochs}


@contextlib.contextmanager
def _page(setting: Setting) -> Iterator[Any]:
    """Open the page of the tutorial's run in Chromium, and train there once.

    Raises:
        Unavailable: there is no Chromium, no playwright or no run.
    """
    from colour_embed.config import InputError
    from colour_embed.viz import page as pages

    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise harness.Unavailable("playwright is not installed") from None
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise harness.Unavailable("Chromium is not installed")
    path = setting.folder() / "page.html"
    try:
        pages.write_page(path, pages.page(pages.read_run(harness.ROOT / "results" / "tutorial")))
    except InputError as error:
        raise harness.Unavailable(str(error)) from None
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # it has none for root
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        page = chromium.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(600_000)
        # The first training also compiles the worker's code.
        page.goto(f"{path.as_uri()}#train=1&train.epochs={setting.epochs}")
        page.evaluate(_PREPARE)
        page.evaluate("timed.ended()")
        yield page
        chromium.close()
