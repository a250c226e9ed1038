"""Training in the page, as its readers use it: the settings, what is shown and told, own pairs."""

import csv
import html
import io
import re
import time

import numpy as np
import pytest
import scipy.stats
from viz import test_page_browser as seen
from viz.test_page import EVIL, ROOT, write_sweep
from viz.test_page_browser import drawn, names_of, pixels, settled, wait_until

from colour_embed.config import Config
from colour_embed.data import load_colours, tutorial_pairs
from colour_embed.evaluate import geometry
from colour_embed.heads import HEADS
from colour_embed.train import fit
from colour_embed.viz import page as pages

pytestmark = seen.pytestmark
browser, visit, tutorial = seen.browser, seen.visit, seen.tutorial
DONE = "live !== null && !live.running"
OWN = 'item_a,item_b,label\nking,queen,1\nking,apple,0\n"pear, green",apple,1\nqueen,apple,0.25\n'


def train(page, **settings):
    """Set fields, train, and wait for the end."""
    page.evaluate("openSettings(true)")
    for name, value in settings.items():
        field = page.locator(f'[name="train.{name}"]')
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(str(value))
    page.click("#train")
    wait_until(page, DONE)


def told(page):
    return {
        name: page.locator(f"#figures .{name}").inner_text()
        for name in ("loss", "above", "weight", "bias", "rank")
    }


def give(page, text, name="mine.csv"):
    content = text.encode() if isinstance(text, str) else text
    page.set_input_files("#own", {"name": name, "mimeType": "text/csv", "buffer": content})


def test_it_trains_as_the_library_does(visit, tutorial):
    page = visit(tutorial)
    before = pixels(page)
    train(page, epochs=4)
    assert pixels(page)[0] != before[0]
    config = Config(epochs=4)
    result = fit(config, 646, tutorial_pairs(load_colours()), snapshots="none")
    np.testing.assert_allclose(page.evaluate("live.loss"), result.loss, rtol=1e-4)
    figures = told(page)
    assert float(figures["loss"]) == pytest.approx(result.loss[-1], abs=6e-5)
    assert float(figures["weight"]) == pytest.approx(result.kernel, abs=2e-3)
    assert float(figures["bias"]) == pytest.approx(result.bias, abs=2e-3)
    floor = float(figures["loss"]) - float(figures["above"])
    assert floor == pytest.approx(0.32088, abs=2e-4)
    assert "Trains on the run's own 100,000 pairs and labels." in page.inner_text("#source")
    assert re.search(r"Trained 4 epochs in .* over all pairs\.", page.inner_text("#outcome"))
    assert page.locator("#outcome").get_attribute("role") == "status"
    settled(page)
    assert "Epoch 4. 2-D embedding, trained here, loss" in page.locator("#live").inner_text()


def test_the_end_of_a_training_is_among_those_of_the_sweep(visit, tutorial):
    with (ROOT / "results" / "sweep" / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dim"] == "2"]
    losses = [float(row["train_loss"]) for row in rows if row["recovered"] == "True"][:8]
    page = visit(f"{tutorial}#train=1&train.seed=0")
    end = time.monotonic() + 300
    while not page.evaluate(DONE):
        assert time.monotonic() < end
        page.wait_for_timeout(200)
    loss, rank = page.evaluate("[live.loss.at(-1), live.facts]")
    assert min(losses) - 5e-4 < loss < max(losses) + 5e-4
    assert float(rank.split()[-1]) > 0.9


def test_a_page_that_is_busy_does_not_hold_the_training_up(visit, tutorial):
    """How much drawing costs is measured by experiments/benchmark, in its part `browser`."""
    page = visit(tutorial)
    before = seen.draws_of_panels(page)[0]
    train(page, epochs=100)
    assert seen.draws_of_panels(page)[0] - before > 10
    seconds = float(re.search(r"in ([\d.]+) s", page.inner_text("#outcome"))[1])
    # From the first epoch on the page does something else, for longer than the training takes.
    left = page.evaluate(
        """(busy) => new Promise((done) => {
            let free = null;
            find("#train").click();
            const look = setInterval(() => {
                if (free === null && live.loss.length > 0) {
                    const end = performance.now() + busy;
                    while (performance.now() < end);
                    free = performance.now();
                }
                if (live.running) return;
                clearInterval(look);
                done(performance.now() - free);
            }, 5);
        })""",
        4000 * seconds,
    )
    assert left < 1000 * seconds / 2


def test_all_heads_of_the_registry_are_offered_and_no_other(visit, tutorial):
    page = visit(tutorial)
    offered = page.locator('[name="train.head"] option').all_inner_texts()
    assert offered == list(HEADS)
    few = page.evaluate("""() => {
        delete learning.FORMS.inverse;
        const heads = [...data.training.heads, "later"];
        return fieldsOf({ ...data.training, heads })[2].options.map(([head]) => head);
    }""")
    assert few == [head for head in HEADS if head != "inverse"]


@pytest.mark.parametrize("head", list(HEADS))
@pytest.mark.parametrize("dim", ["1", "3"])
def test_every_head_and_dimension_trains(visit, tutorial, head, dim):
    page = visit(tutorial)
    train(page, head=head, dim=dim, count=3000, epochs=5)
    assert page.evaluate("[live.dim, live.loss.length]") == [int(dim), 5]
    assert np.isfinite(page.evaluate("live.loss")).all()
    assert page.locator(".panel h2").first.inner_text() == f"{dim}-D embedding, trained here"
    assert "Draws 3,000 pairs and their labels from seed 0" in page.inner_text("#source")
    assert "--vary pairs" in page.inner_text("#source")


def test_the_sign_trap_can_be_watched(visit, tutorial):
    page = visit(tutorial)
    train(page, weight=0.7, epochs=12)
    trap = page.locator("#trap")
    assert "In the sign trap: the weight is still positive after epoch 11" in trap.inner_text()
    assert float(told(page)["weight"]) > 0.7
    assert trap.get_attribute("role") == "status"
    train(page, sign="negative")
    assert not trap.is_visible()
    assert page.evaluate("live.weights[0]") == pytest.approx(-0.7)


def test_the_settings_are_in_the_address(visit, tutorial):
    page = visit(tutorial)
    settled(page)
    assert "train" not in page.url
    train(page, seed=5, dim="3", head="negative", count=2000, constant=0.4, epochs=3, rate=0.01)
    page.check('[name="train.normalise"]')
    settled(page)
    losses = page.evaluate("live.loss")
    assert "train=1" in page.url
    page.uncheck('[name="train.normalise"]')
    settled(page)
    again = visit(page.url)
    wait_until(again, DONE)
    assert again.evaluate("live.loss") == losses
    assert again.evaluate("readSettings()") == page.evaluate("readSettings()")
    without = visit(page.url.replace("&train=1", ""))
    assert without.evaluate("live") is None
    assert without.evaluate("readSettings()") == page.evaluate("readSettings()")
    without.evaluate("location.hash = '#train=1&train.epochs=2&train.count=50&train.head=none'")
    wait_until(without, DONE)
    assert without.evaluate("[live.epochs, live.settings.head]") == [2, "free"]
    without.evaluate("location.hash = '#epoch=3'")
    settled(without)
    assert without.evaluate("live") is None


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("seed", "-1", 'Seed is "-1": give a whole number from 0 to 4294967295'),
        ("seed", "1.5", "give a whole number"),
        ("epochs", "", 'Epochs is "": give a whole number from 1'),
        ("rate", "0", 'Learning rate is "0": give a number above 0'),
        ("batch", "many", 'Batch size is "many"'),
        ("weight", "big", 'First weight is "big": give a number from'),
        ("constant", "1e999", "Label constant"),
        ("count", "1e9", "Pairs"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(visit, tutorial, name, value, part):
    page = visit(f"{tutorial}#train=1&train.{name}={value}")
    fault = page.locator("#fault")
    assert part in fault.inner_text()
    assert fault.get_attribute("role") == "alert"
    assert page.evaluate("live") is None
    page.fill(f'[name="train.{name}"]', "1")
    page.press(f'[name="train.{name}"]', "Tab")
    assert not fault.is_visible()


def test_rows_of_length_one_need_two_dimensions(visit, tutorial):
    page = visit(f"{tutorial}#train=1&train.dim=1&train.normalise=1")
    assert "give dimension 2 or 3" in page.inner_text("#fault")
    page = visit(f"{tutorial}#train=1&train.normalise=1&train.epochs=2&train.count=500")
    wait_until(page, DONE)
    points = np.array(page.evaluate("[...live.frames.at(-1)]")).reshape(646, 2)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=1e-6)


def test_a_training_can_be_stopped_replayed_and_left(visit, tutorial):
    page = visit(tutorial)
    before = pixels(page)
    page.locator(".panel").first.locator(".in").click()
    page.click("#train")
    wait_until(page, "live.epoch.length > 5")
    assert "train=1" in page.url  # a link to a training under way
    assert page.evaluate("panels[0].view === WHOLE")
    wait_until(page, "find('#train').innerText === 'Stop'")
    assert page.locator("#play").is_disabled()
    page.click("#train")
    wait_until(page, "find('#train').innerText === 'Train'")  # with the next redraw
    assert "Stopped after epoch" in page.inner_text("#outcome")
    count = page.evaluate("live.epoch.length")
    page.wait_for_timeout(200)
    assert page.evaluate("live.epoch.length") == count
    page.evaluate("seek(0)")
    drawn(page)
    assert seen.epoch(page) == 0
    page.select_option("#speed", "4")
    page.click("#play")
    wait_until(page, "!state.playing")
    assert seen.epoch(page) == page.evaluate("live.epoch.at(-1)")
    page.click("#replay")
    settled(page)
    page.mouse.move(0, 0)
    drawn(page)
    page.evaluate("update({ yaw: -30 })")
    drawn(page)
    assert pixels(page) == before
    assert "train" not in page.url
    assert not page.locator("#figures").is_visible()


def test_a_diverging_training_says_so(visit, tutorial):
    page = visit(f"{tutorial}#train=1&train.rate=1e6&train.count=500&train.scale=1000000")
    page.evaluate("receive({ diverged: 3 })")
    assert "diverged in epoch 3" in page.inner_text("#outcome")


def test_the_download_is_the_embedding_shown(visit, tutorial):
    page = visit(tutorial)
    train(page, epochs=2, count=500, dim="3")
    with page.expect_download() as caught:
        page.click("#download")
    assert caught.value.suggested_filename == "embedding_3d.csv"
    header, *rows = csv.reader(io.StringIO(caught.value.path().read_text(encoding="utf-8")))
    assert header == ["name", "x0", "x1", "x2"]
    assert [row[0] for row in rows] == load_colours().names
    points = np.float32([row[1:] for row in rows])
    np.testing.assert_array_equal(points.ravel(), page.evaluate("[...live.frames.at(-1)]"))


def test_own_pairs_train_and_are_forgotten(visit, tutorial):
    page = visit(tutorial)
    before = pixels(page)
    give(page, OWN)
    wait_until(page, DONE)
    assert names_of(page) == ["king", "queen", "apple", "pear, green"]
    assert "Trains on 4 pairs of 4 items from mine.csv." in page.inner_text("#source")
    assert page.locator(".panel:visible").count() == 1
    assert page.inner_text("label[for=search]") == "Find an item"
    assert page.locator('[name="train.count"]').is_disabled()
    assert len(set(page.evaluate("fills"))) == 4
    assert (told(page)["above"], told(page)["rank"]) == ("–", "–")
    settled(page)
    assert "train=1" not in page.url
    with page.expect_download() as caught:
        page.click("#download")
    assert '"pear, green",' in caught.value.path().read_text(encoding="utf-8")
    page.click("#forget")
    settled(page)
    page.mouse.move(0, 0)
    page.evaluate("update({ hover: null })")
    drawn(page)
    assert names_of(page) == load_colours().names
    assert pixels(page) == before
    assert page.locator('[name="train.count"]').is_enabled()


def test_own_pairs_can_be_dropped(visit, tutorial):
    page = visit(tutorial)
    page.evaluate(
        """(text) => {
            const moved = new DataTransfer();
            moved.items.add(new File([text], "dropped.csv"));
            const event = { dataTransfer: moved, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent("drop", event));
        }""",
        OWN.replace(",", ";").replace("\n", "\r\n").replace('"pear; green"', '"pear ""x"""'),
    )
    wait_until(page, DONE)
    assert names_of(page) == ["king", "queen", "apple", 'pear "x"']
    assert page.evaluate("[...ownPairs.label]") == [1, 0, 1, 0.25]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "mine.csv, row 1: the file is empty"),
        ("a,b\n1,2\n", 'mine.csv, row 1: the header is "a,b"; give the columns'),
        ("item_a,item_b,label\n", "mine.csv, row 2: there are no pairs"),
        (OWN + "king,apple\n", "mine.csv, row 6: has 2 columns where 3 are expected"),
        (OWN + "\nking,apple,maybe\n", 'mine.csv, row 7: label is "maybe"; give 1'),
        (OWN + "king,apple,2\n", 'mine.csv, row 6: label is "2"'),
        (OWN + "king,apple,\n", 'mine.csv, row 6: label is ""'),
        (OWN + ",apple,1\n", "mine.csv, row 6: item_a is empty"),
        (OWN + "king, ,1\n", "mine.csv, row 6: item_b is empty"),
        (OWN + '"king,apple,1\nking,queen,1\n', "mine.csv, row 6: a double quote is not closed"),
        ("a,a,1\n", "mine.csv, row 1: there is only one item"),
        (OWN.encode() + b"caf\xe9,apple,1\n", "mine.csv, row 6: is not UTF-8"),
        (OWN + "k\0,apple,1\n", "mine.csv, row 6: is not UTF-8"),
    ],
)
def test_wrong_pairs_are_told_by_their_row(visit, tutorial, text, part):
    page = visit(tutorial)
    give(page, text)
    wait_until(page, "!find('#fault').hidden")
    line = page.inner_text("#fault")
    assert part in line
    assert "\n" not in line
    assert page.evaluate("[live, ownPairs]") == [None, None]
    give(page, OWN)  # mended
    wait_until(page, DONE)
    assert not page.locator("#fault").is_visible()


@pytest.mark.parametrize(
    "text",
    [
        "label,item_b,note,item_a\n1,queen,x,king\n",
        "\ufeffitem_a,item_b,label\r\nking,queen,1\r\n",
        "king,queen,1",
        "Item_A\tITEM_B\tLabel\nking\tqueen\t1\n\n",
        '"item_a","item_b","label"\n"king","queen","1"\n',
    ],
)
def test_forms_of_a_table(visit, tutorial, text):
    page = visit(tutorial)
    found = page.evaluate("(text) => parsePairs(text.replace(/^\\ufeff/, ''), 'x')", text)
    assert sorted(found["names"]) == ["king", "queen"]
    give(page, text)
    wait_until(page, DONE)
    names = names_of(page)
    first, second = page.evaluate("[ownPairs.first[0], ownPairs.second[0]]")
    assert [names[first], names[second]] == ["king", "queen"]


def test_evil_names_of_own_pairs_are_only_names(visit, tutorial):
    page = visit(tutorial)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    names = [name for name in dict.fromkeys(EVIL) if "\0" not in name]
    written = io.StringIO()
    csv.writer(written).writerows(
        [("item_a", "item_b", "label"), *((name, names[0], 1) for name in names)]
    )
    give(page, written.getvalue(), "<img src=x onerror=alert(1)>.csv")
    wait_until(page, DONE)
    assert names_of(page) == names
    assert "<img" in page.inner_text("#source")
    assert page.locator("#training img").count() == 0
    with page.expect_download() as caught:
        page.click("#download")
    with caught.value.path().open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:] == names


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_no_width_scrolls_sideways_while_training(visit, tutorial, width):
    page = visit(
        f"{tutorial}#train=1&train.epochs=12&train.weight=0.7",
        viewport={"width": width, "height": 800},
    )
    wait_until(page, DONE)
    page.evaluate("openSettings(true)")
    drawn(page)
    assert page.locator("#trap").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = page.locator("button:visible, select, input").evaluate_all(
        "all => all.filter((one) => !(one.ariaLabel || one.labels?.length || one.textContent))"
        ".map((one) => one.id)"
    )
    assert unnamed == []


def test_the_keyboard_trains(visit, tutorial):
    page = visit(tutorial)
    page.focus("#open")
    page.keyboard.press(" ")
    assert page.locator("#open").get_attribute("aria-expanded") == "true"
    field = page.locator('[name="train.seed"]')
    field.fill("3")
    page.evaluate("setField('epochs', 3)")
    field.press("Enter")
    wait_until(page, DONE)
    assert page.evaluate("live.settings.seed") == 3
    field.press("/")  # a field keeps its own keys
    assert page.evaluate("document.activeElement.name") == "train.seed"


def test_reduced_motion_is_respected_while_training(visit, tutorial):
    page = visit(tutorial, reduced_motion="reduce")
    before = seen.draws_of_panels(page)[0]
    page.click("#train")
    page.wait_for_timeout(2500)
    page.click("#train")
    drawn(page)
    assert 1 <= seen.draws_of_panels(page)[0] - before <= 8  # one a second, and the button's own


@pytest.mark.parametrize("sandbox", ["", 'sandbox="allow-scripts"'])
def test_a_frame_without_an_address_of_its_own_trains(visit, tmp_path, sandbox):
    text = pages.page(pages.read_run(seen.RUN))
    path = tmp_path / "outer.html"
    frame = f'<iframe {sandbox} width="1200" height="800" srcdoc="{html.escape(text)}"></iframe>'
    path.write_text(f'<link rel="icon" href="data:,">{frame}', encoding="utf-8")
    page = visit(path.as_uri())
    settled(page)
    frame = page.frames[1]
    frame.click("#open")
    frame.fill('[name="train.seed"]', "1")
    frame.evaluate("setField('epochs', 3)")
    frame.click("#train")
    for _ in range(100):
        if "Trained 3 epochs" in frame.inner_text("#outcome"):
            break
        page.wait_for_timeout(100)
    assert "Trained 3 epochs" in frame.inner_text("#outcome")


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_points_are_turned_toward_rgb_and_ranked_as_in_python(visit, tutorial, dim):
    page = visit(f"{tutorial}#train=1&train.dim={dim}&train.epochs=5&train.rate=0.01")
    wait_until(page, DONE)
    raw, shown, some = page.evaluate(
        "[[...live.frames.at(-1)], [...panels[0].cloud.points], someOf().map((one) => [...one])]"
    )
    raw, shown = (np.reshape(one, (646, dim)) for one in (raw, shown))
    rgb = 255 * load_colours().rgb
    target = rgb - rgb.mean(axis=0) if dim == 3 else geometry.principal_axes(rgb, dim)
    expected = geometry.align(raw, target)
    np.testing.assert_allclose(
        shown, expected - expected.mean(axis=0), atol=1e-4 * np.abs(expected).max()
    )

    def spearman(pairs):
        distances = (np.linalg.norm(one[pairs[0]] - one[pairs[1]], axis=1) for one in (raw, rgb))
        return scipy.stats.spearmanr(*distances).statistic

    found = re.search(r"rank correlation with RGB ([-\d.]+)", page.inner_text("#outcome"))
    assert float(found[1]) == pytest.approx(spearman(np.triu_indices(646, 1)), abs=6e-4)
    assert told(page)["rank"] == found[1]
    page.evaluate("live.rank = null; redraw()")  # as it is told while training
    drawn(page)
    assert float(told(page)["rank"]) == pytest.approx(spearman(some), abs=6e-4)


def test_a_sweeps_page_trains_and_its_choices_lead_back(visit, tmp_path):
    write_sweep(tmp_path / "run")
    path = tmp_path / "sweep.html"
    pages.write_page(path, pages.page(pages.read_run(tmp_path / "run")))
    page = visit(f"{path.as_uri()}#seed=1&dim=2&train=1&train.seed=3&train.epochs=3")
    wait_until(page, DONE)
    assert page.evaluate("[live.settings.seed, live.settings.dim]") == [3, 2]
    assert "the run's own 500 pairs" in page.inner_text("#source")
    settled(page)
    assert "seed=1" in page.url
    assert "train.seed=3" in page.url
    page.locator("#choices [name=seed]").select_option("2")
    settled(page)
    assert page.evaluate("live") is None
    assert "seed 2" in page.locator(".panel p").first.inner_text()


def test_a_page_without_pairs_only_replays(visit, tmp_path):
    run = pages.read_run(seen.RUN)
    path = tmp_path / "page.html"
    pages.write_page(path, pages.page(seen.small_run(run.colours.names)))
    page = visit(f"{path.as_uri()}#train=1")
    assert not page.locator("#training").is_visible()
    assert page.evaluate("live") is None
