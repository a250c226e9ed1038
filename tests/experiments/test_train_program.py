"""People's own pairs end to end: the files, hostile names and flags, failures that lose nothing."""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import warnings

import av
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from scipy.special import entr

from colour_embed.config import Config
from colour_embed.io import vectors as exports
from colour_embed.pairs.reading import read_pairs
from colour_embed.viz import page
from experiments import _train_figures, _training

HOSTILE = [
    "=1+1",
    "$x^2$",
    "[red]bold[/red]",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a\x1b[31mred",
    'Grey, "Silver"\nline',
    "日本",
    "_low",
    " spaced ",
    "[UNK",
    "NA",
]
FAST = ["--max_steps=300", "--restarts=2", "--batch_size=64"]

# Many runs in one process, each as if the program were started with these arguments.
DRIVER = """
import contextlib, io, json, sys
from absl.testing import flagsaver
from experiments import _cli, train

done = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["experiments.train", *arguments]
    with flagsaver.flagsaver(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            _cli.start(train.main, train.__doc__)
            status = 0
        except SystemExit as leaving:
            status = leaving.code
    done.append([status, out.getvalue(), err.getvalue()])
json.dump(done, sys.stdout)
"""


# Warnings are errors, but for that of a machine without fonts of the names' scripts.
STRICT = ["-W", "error", "-W", "default:no font here has:UserWarning"]


def _run_all(commands, prelude=""):
    """Run each list of arguments; its status, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", prelude + DRIVER],
        input=json.dumps([[str(one) for one in arguments] for arguments in commands]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _write(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def _files(folder):
    """Every file below a folder: name -> its hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of pairs and items of several kinds, by name."""
    folder = tmp_path_factory.mktemp("tables")
    generator = np.random.default_rng(0)
    names = HOSTILE + [f"item {place}" for place in range(28)]
    places = generator.uniform(-1, 1, (40, 2))
    index = generator.integers(0, 40, (2400, 2))
    index = index[index[:, 0] != index[:, 1]]
    squared = ((places[index[:, 0]] - places[index[:, 1]]) ** 2).sum(axis=1)
    chance = 1 / (1 + np.exp(6 * squared - 2))
    label = (generator.random(len(index)) < chance).astype(int)
    named = [(names[one], names[other]) for one, other in index]
    colours = [bytes(rgb).hex() for rgb in generator.integers(0, 256, (40, 3)).astype(np.uint8)]
    soft = [(*pair, f"{p:.4f}", w) for pair, p, w in zip(named, chance, np.arange(len(named)) % 3)]
    similar = [pair for pair, similar in zip(named, label) if similar]
    pieces = [(f"{side}{one}", f"{side}{one + 1}", one % 2) for side in "ab" for one in range(6)]
    return {
        "pairs": _write(
            folder / "pairs.csv",
            ["first", "second", "label"],
            [(*pair, one) for pair, one in zip(named, label)],
        ),
        "items": _write(
            folder / "items.csv",
            ["name", "hex", "kind", "=cmd"],
            [(name, hex, "$k$", "[red]") for name, hex in zip(names, colours)],
        ),
        "grouped": _write(
            folder / "grouped.csv",
            ["name", "group"],
            [(name, ["$odd$", "_even", ""][place % 3]) for place, name in enumerate(names)],
        ),
        "soft": _write(folder / "soft.csv", ["a", "b", "label", "weight"], soft),
        "counts": _write(
            folder / "counts.csv",
            ["a", "b", "count"],
            [(*pair, 1 + place % 4) for place, pair in enumerate(similar)],
        ),
        "apart": _write(folder / "apart.csv", ["a", "b", "label"], pieces),
        "apart_items": _write(
            folder / "apart_items.csv",
            ["name"],
            [(f"{side}{one}",) for side in "abc" for one in range(7)],
        ),
        "alike": _write(folder / "alike.csv", ["a", "b", "y"], [(*pair, 1) for pair in similar]),
        "by_number": _write(
            folder / "by_number.csv", ["a", "b", "y"], [(*pair, 1) for pair in [(0, 1), (1, 2)]]
        ),
        "sides": _write(
            folder / "sides.csv",
            ["", "user", "film"],
            [(k, k % 8, k % 6) for k in range(24) if k % 8 < 4 or k % 6 < 3],
        ),
    }


@pytest.fixture(scope="module")
def commands(tables, tmp_path_factory):
    """What is run, by name; each into a folder of its own name."""
    out = tmp_path_factory.mktemp("runs")
    everything = "csv,npz,parquet,word2vec,word2vec_binary,safetensors,projector,table"
    pairs, moving = f"--pairs={tables['pairs']}", ("--animate", "--page")
    runs = {
        "main": [
            *(pairs, f"--items={tables['items']}", "--seed=1", *moving),
            *(f"--export={everything}", '--report_items="=1+1",日本,[red]bold[/red]'),
        ],
        "grouped": [pairs, f"--items={tables['grouped']}", "--dim=3", *moving, "--held_out=0"],
        "deep": [pairs, "--dim=5", "--optimizer=adam", "--normalise", "--head=dot", *moving],
        "line": [pairs, "--dim=1", "--optimizer=lazy_adam", "--seed=3", *moving],
        "soft": [f"--pairs={tables['soft']}", "--held_out=0"],
        "positives": [
            f"--pairs={tables['counts']}",
            "--positives_only",
            "--negatives=2",
            "--held_out=0.2",
        ],
        "apart": [f"--pairs={tables['apart']}", f"--items={tables['apart_items']}"],
        "alike": [f"--pairs={tables['alike']}", "--held_out=0.2"],
        "numbers": [
            *(f"--pairs={tables['by_number']}", "--ids", "--head=free", "--learning_rate=0.001"),
            *("--max_steps=50", "--restarts=1"),
        ],
        "sides": [f"--pairs={tables['sides']}", "--positives_only", "--two_sided"],
    }
    return {name: [*FAST, *flags, f"--out={out / name}"] for name, flags in runs.items()}, out


@pytest.fixture(scope="module")
def runs(commands):
    """The runs by name: folder, metrics, stdout, stderr."""
    found = {}
    for name, (status, out, err) in zip(commands[0], _run_all(commands[0].values())):
        assert status == 0, f"{name}: {err}"
        folder = commands[1] / name
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        found[name] = folder, metrics, out, err
    return found


def test_every_file_is_there(runs, tables):
    folder, _, out, _ = runs["main"]
    figures = [f"{name}.{end}" for name in ("embedding", "losses", "calibration") for end in ENDS]
    exports = ["csv", "npz", "parquet", "txt", "bin", "safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            *figures,
            *(f"embedding.{suffix}" for suffix in exports),
            *("projector", "table", "config.json", "env.json", "metrics.json", "items.npz"),
            *("losses.csv", "snapshots.npz", "training.mp4", "training.png", "page.html"),
        ]
    )
    assert f"results in {folder}" in out
    for name in ("config.json", "env.json", "metrics.json"):
        assert str(folder.parent) not in (folder / name).read_text()
        assert str(tables["pairs"].parent) not in (folder / name).read_text()


ENDS = ("png", "pdf")


def test_the_embedding_is_the_one_of_the_metrics(runs):
    folder, metrics, _, _ = runs["main"]
    named = exports.read_csv(folder / "embedding.csv")
    assert set(HOSTILE) <= set(named.items)
    assert named.vectors.shape == (40, 2)
    with np.load(folder / "embedding.npz") as other:
        assert other["items"].tolist() == named.items
        np.testing.assert_array_equal(other["vectors"], named.vectors)
    assert pd.read_parquet(folder / "embedding.parquet")["item"].tolist() == named.items
    tensors = safetensors.numpy.load_file(folder / "embedding.safetensors")
    np.testing.assert_array_equal(tensors["embedding"], named.vectors)
    assert (metrics["items"], metrics["dim"], metrics["restarts"]) == (40, 2, 2)
    assert metrics["held_out_pairs"] + metrics["training_pairs"] == metrics["pairs"]
    assert 0.05 < metrics["held_out_pairs"] / metrics["pairs"] < 0.15
    for quality in metrics["quality"].values():
        assert quality["loss_low"] < quality["loss"] < quality["loss_high"]
        assert quality["loss"] < quality["base_rate_loss"]
        assert 0.7 < quality["auc"] < 1
    assert metrics["calibration"]["of"] == "held-out pairs"
    assert metrics["kernel"] < 0
    assert [one["item"] for one in metrics["neighbours"]] == ["=1+1", "日本", "[red]bold[/red]"]
    place = named.items.index("日本")
    far = np.linalg.norm(named.vectors - named.vectors[place], axis=1)
    nearest = metrics["neighbours"][1]["nearest"][0]
    assert nearest["item"] == named.items[np.argsort(far)[1]]
    assert nearest["distance"] == pytest.approx(np.sort(far)[1], rel=1e-6)


def test_snapshots_end_with_the_embedding_that_is_kept(runs):
    folder, metrics, _, _ = runs["main"]
    with np.load(folder / "snapshots.npz") as arrays:
        assert arrays["epoch"][0] == 0
        assert arrays["epoch"][-1] == metrics["best_step"]
        assert arrays["embedding"].shape == (len(arrays["epoch"]), 40, 2)
        assert arrays["embedding"].dtype == np.float16
        assert arrays["loss"].shape == (metrics["best_step"],)
        vectors = exports.read_csv(folder / "embedding.csv").vectors
        np.testing.assert_allclose(arrays["embedding"][-1], vectors, rtol=1e-3, atol=1e-3)
        shown = len(arrays["epoch"])
    for name in ("main", "grouped", "deep", "line"):
        with av.open(runs[name][0] / "training.mp4") as container:
            assert name != "main" or sum(1 for _ in container.decode(video=0)) == shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("main", "Colours are used for display only, not in training."),
        ("grouped", "Groups are used for display only, not in training."),
        ("deep", "first three principal axes"),
        ("line", "pairs of items.</p>"),
    ],
)
def test_pages_show_items_with_and_without_colours(runs, name, said):
    folder, metrics, _, _ = runs[name]
    text = (folder / "page.html").read_text(encoding="utf-8")
    assert said in text
    (data,) = re.findall(r'id="data">(.*?)</script>', text)
    found = json.loads(data)
    assert (found["noun"], found["truth"]) == ("item", name == "main")
    assert len(found["names"]) == metrics["items"]
    if name == "grouped":
        assert found["groups"]["names"] == ["$odd$", "_even", ""]
        assert [one["label"] for one in found["looks"]] == ["$odd$", "_even", "other"]
    else:
        assert found["groups"] is None


def test_a_page_without_room_is_a_warning_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(page.MAX_BYTES, "items", 50_000)
    _write(tmp_path / "pairs.csv", ["a", "b", "y"], [(0, 1, 1), (1, 2, 0), (2, 3, 1)])
    plan = _training.Plan(Config(), restarts=1, max_steps=20, page=True)
    table = read_pairs(tmp_path / "pairs.csv")
    out = tmp_path / "out"
    out.mkdir()
    metrics = _training.run(out, plan, table, {}, lambda *_: lambda *_: None, draw=lambda *_: None)
    assert any("there is no page: the run is too large" in one for one in metrics["warnings"])
    assert (out / "embedding.csv").exists()
    assert not (out / "page.html").exists()


def test_names_never_act(runs):
    folder, _, out, err = runs["main"]
    assert "[red]bold[/red]" in out
    assert "\x1b" not in out + err
    assert "a\\u001b[31mred" in out or "a\\x1b" not in out
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "\\u003cscript>alert(1)" in page
    # A cell that a spreadsheet would compute is marked as text.
    assert '"\'=1+1"' in (folder / "embedding.csv").read_text(encoding="utf-8")
    assert "=1+1" in (folder / "metrics.json").read_text(encoding="utf-8")
    assert not (folder.parent.parent / "etc").exists()


def test_figures_are_redrawn_to_the_byte(runs, tmp_path):
    for name in ("main", "grouped", "deep", "line"):
        folder = runs[name][0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "no font here has", UserWarning)
            drawn = _train_figures.draw(folder, tmp_path / name)
        assert len(drawn) == 6
        for path in drawn:
            assert path.read_bytes() == (folder / path.name).read_bytes(), path


def test_the_same_command_gives_the_same_bytes(commands, runs, tmp_path):
    out = tmp_path / "again"
    assert _run_all([[*commands[0]["main"][:-1], f"--out={out}"]])[0][0] == 0
    found, expected = _files(out), _files(runs["main"][0])
    for files in (found, expected):
        files.pop("env.json")
    assert found == expected


def test_soft_labels_and_weights_count(runs, tables):
    _, metrics, _, _ = runs["soft"]
    with tables["soft"].open(newline="", encoding="utf-8") as file:
        rows = [(float(row["label"]), float(row["weight"])) for row in csv.DictReader(file)]
    label, weight = np.array(rows).T
    share = (label * weight).sum() / weight.sum()
    assert metrics["positive_share"] == pytest.approx(share, rel=1e-5)
    assert metrics["held_out_pairs"] == 0
    assert metrics["quality"]["held_out"] is None
    assert metrics["calibration"]["of"] == "training pairs"
    # Of soft labels even the best loss is their entropy, and no smaller.
    floor = ((entr(label) + entr(1 - label)) * weight).sum() / weight.sum()
    assert floor < metrics["quality"]["training"]["loss"] < floor + 0.15


def test_positives_only_draws_negatives_before_the_split(runs):
    _, metrics, out, _ = runs["positives"]
    drawn, distinct = metrics["drawn_negatives"], metrics["distinct_pairs"]
    assert drawn == 2 * distinct
    assert metrics["training_pairs"] + metrics["held_out_pairs"] == metrics["pairs"] + drawn
    assert 0.1 < metrics["held_out_pairs"] / (metrics["pairs"] + drawn) < 0.3
    assert metrics["positive_share"] == 1
    assert metrics["quality"]["held_out"]["auc"] > 0.6
    assert f"{drawn:,} drawn" in out


def test_what_no_pair_ties_down_is_told(runs):
    _, metrics, out, err = runs["apart"]
    assert metrics["untied"]["alone"] == 7
    assert metrics["untied"]["alone_items"] == [f"c{one}" for one in range(7)]
    assert metrics["untied"]["weak_items"] == ["a0", "a6", "b0", "b6"]
    assert metrics["groups"] == {"count": 2, "largest": [7, 7]}
    assert "Connected groups: 2" in out
    assert err.count("warning:") >= 2
    assert "group" in err


def test_a_single_class_is_warned_of(runs):
    _, metrics, out, err = runs["alike"]
    assert "warning:" in err
    assert any("alike" in one or "similar" in one for one in metrics["warnings"])
    assert metrics["quality"]["training"]["auc"] is None
    assert "-" in out


def test_the_sign_trap_of_a_free_head_is_reported(runs):
    _, metrics, _, err = runs["numbers"]
    assert ("sign trap" in err) == (metrics["kernel"] > 0)


def test_other_dims_and_options(runs):
    assert runs["deep"][1]["dim"] == 5
    vectors = exports.read_csv(runs["deep"][0] / "embedding.csv").vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert "dot_product" in runs["deep"][1]["neighbours"][0]["nearest"][0]
    assert exports.read_csv(runs["line"][0] / "embedding.csv").vectors.shape == (40, 1)
    assert exports.read_csv(runs["numbers"][0] / "embedding.csv").items == ["0", "1", "2"]
    config = json.loads((runs["line"][0] / "config.json").read_text())
    assert config["config"]["optimizer"] == "lazy_adam"
    assert config["pairs"] == "pairs.csv"


def test_what_was_taken_for_what_is_told(runs):
    folder, _, out, err = runs["sides"]
    notes = [
        "items from columns 'user' and 'film', every row a similar pair",
        "two kinds of items, called 'user:NAME' and 'film:NAME' by their columns",
    ]
    assert out.splitlines()[:2] == [f"note: {note}" for note in notes]
    assert "of an item with itself" not in err
    config = json.loads((folder / "config.json").read_text())
    assert (config["notes"], config["two_sided"]) == (notes, True)
    items = exports.read_csv(folder / "embedding.csv").items
    assert sorted(items) == [*(f"film:{k}" for k in range(6)), *(f"user:{k}" for k in range(8))]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_that_cannot_show_a_name(tmp_path, encoding):
    pairs = _write(tmp_path / "p.csv", ["a", "b", "label"], [("かし", "é", 1), ("é", "モミ", 0)])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.train", f"--pairs={pairs}"),
            *("--max_steps=20", "--restarts=1", f"--out={tmp_path / 'out'}"),
        ],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode(encoding)
    assert r"\u304b\u3057" in out
    assert ("é" in out) == (encoding == "latin-1")
    table = out[out.index("Neighbours") :].splitlines()[1:-1]
    assert len({len(line) for line in table}) == 1  # aligned, with what is escaped
    assert exports.read_csv(tmp_path / "out" / "embedding.csv").items == ["かし", "é", "モミ"]


# What is refused


REFUSED = {
    "--dim=0": "dim is 0",
    "--separator=;": "--separator=;: value should be one of",
    "--label_scale=1": "label_scale is '1'",
    "--dim=41": "there are 40 items",
    "--dim=x": "dim",
    "--batch_size=0": "batch_size is 0",
    "--learning_rate=0": "learning_rate",
    "--learning_rate=-1": "learning_rate",
    "--learning_rate=nan": "learning_rate",
    "--learning_rate=1e38": "NaN or infinite",
    "--restarts=0": "restarts is 0",
    "--max_steps=0": "max_steps is 0",
    "--held_out=1": "held_out is 1",
    "--held_out=nan": "held_out is nan",
    "--held_out=0.999": "none that counts would be held out",
    "--negatives=2": "--positives_only",
    "--head=up": "head is 'up'",
    "--optimizer=nonsense": "nonsense",
    "--export=csv,xls": "export is 'xls'",
    "--first=nowhere": "nowhere",
    "--pairs=nowhere.csv": "nowhere.csv",
    "--report_items=item 99": "did you mean 'item",
    "--max_memory=0.00001": "may be taken",
    "--max_memory=0.01 --dim=40 --restarts=500": "training would take about",
    "--max_memory=-1": "max_memory is -1",
    "--seed=-1": "seed is -1",
    "--positives_only --negatives=nan": "negatives is nan",
    "--label=label --positives_only": "positives_only",
    "--items=nowhere.csv": "nowhere.csv",
    "stray": "is no flag",
    "--nonsense=1": "nonsense",
}


def test_bad_flags_are_told_in_one_line_and_touch_nothing(runs, tables, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for path in runs["line"][0].iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    before = _files(out)
    given = [f"--pairs={tables['pairs']}", f"--out={out}", *FAST]
    done = _run_all([[*given, *split(flags)] for flags in REFUSED])
    for (flags, told), (status, _, err) in zip(REFUSED.items(), done):
        assert status == 2, f"{flags}: {status} {err}"
        # A bar of progress may stand before it.
        line = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(line) == 1, err
        assert err.rstrip().endswith(line[0])
        assert told in line[0], line
    assert _files(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def split(flags):
    """Flags that stand in one text, each beginning with two dashes."""
    first, *rest = flags.split(" --")
    return [first, *(f"--{one}" for one in rest)]


def test_no_pairs_and_another_programs_folder_are_refused(tables, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    pairs = f"--pairs={tables['apart']}"
    done = _run_all([[f"--out={tmp_path / 'own'}"], [pairs, f"--out={tmp_path / 'own'}"]])
    assert [status for status, *_ in done] == [2, 2]
    assert "give --pairs" in done[0][2]
    assert "holds files of something else" in done[1][2]
    assert (tmp_path / "own" / "thesis.txt").read_text() == "mine"


def _mounted(folder, options):
    """Mount a file system in memory, or skip the test."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system on Linux")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_cannot_be_written_to_loses_nothing(runs, tables, tmp_path, fault):
    disk = tmp_path / "disk"
    disk.mkdir()
    sizes = sum(-(-p.stat().st_size // 4096) + 1 for p in runs["line"][0].iterdir())
    _mounted(disk, f"size={sizes * 4 + 96}k")
    try:
        out = disk / "out"
        out.mkdir()
        for path in runs["line"][0].iterdir():
            (out / path.name).write_bytes(path.read_bytes())
        before = _files(out)
        if fault == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        ((status, _, err),) = _run_all([[f"--pairs={tables['pairs']}", *FAST, f"--out={out}"]])
        assert status == 2, err
        told = "No space left" if fault == "full" else "Read-only"
        assert told in err.splitlines()[-1]
        assert _files(out) == before
        assert [path.name for path in disk.iterdir()] == ["out"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


INTERRUPTED = """
from experiments import _training

original = _training.fit_pairs


def interrupted(*arguments, report, **options):
    def told(event):
        report(event)
        raise KeyboardInterrupt

    if LOOKS.pop() == 0:
        raise KeyboardInterrupt
    return original(*arguments, report=told, **options)


_training.fit_pairs = interrupted
"""


def test_ctrl_c_keeps_the_best_so_far_or_nothing_at_all(tables, tmp_path):
    commands = [
        [f"--pairs={tables['apart']}", *FAST, "--max_steps=3000", f"--out={tmp_path / name}"]
        for name in ("out0", "out1")
    ]
    done = _run_all(commands, f"LOOKS = [1, 0]\n{INTERRUPTED}")
    assert [status for status, *_ in done] == [130, 1]
    metrics = json.loads((tmp_path / "out1" / "metrics.json").read_text())
    assert metrics["stopped"] == "interrupted"
    assert metrics["steps"] == metrics["best_step"] > 0
    assert (tmp_path / "out1" / "embedding.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out1"]


def test_help_explains_every_flag():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    for flag in (
        *("pairs", "items", "ids", "positives_only", "held_out", "export", "report_items"),
        *("two_sided", "label_scale", "separator", "header", "quoting", "comment"),
    ):
        assert f"--{flag}" in done.stdout
