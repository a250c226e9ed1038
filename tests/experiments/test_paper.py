"""The article is typeset from the committed tables, and no number in its prose is typed."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from colour_embed import data
from colour_embed.io import machine
from experiments.paper import typesetting

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
COMMITTED = RESULTS / "paper"
SOURCE = (ROOT / "experiments" / "paper" / "article.typ").read_text(encoding="utf-8")

LOOKUPS = {
    *("evidence", "value", "derived", "given", "setting", "cell", "holds", "count"),
    *("least", "difference", "verdict", "csv-table", "lead-table", "picture"),
}
"""Functions whose string arguments name a file, a table, a row or a column."""


# --------------------------------------------------------------------------------------------------
# No number is typed


class Prose:
    """Scans the source of the article; `found` holds each number that is typed in it."""

    def __init__(self, text):
        self.text, self.place, self.found = text, 0, []
        self.markup("")

    def take(self, pattern):
        """Return the match of a pattern at the present place, past which it moves, or None."""
        match = re.compile(pattern).match(self.text, self.place)
        if match:
            self.place = match.end()
        return match

    def wrong(self, length=1):
        line = self.text.count("\n", 0, self.place) + 1
        self.found.append(f"{line}: {self.text[self.place - 20 : self.place + 20]!r}")
        self.place += length

    def markup(self, end):
        while self.place < len(self.text):
            here = self.text[self.place]
            if here == end:
                self.place += 1
                return
            if self.take(r"(?<!:)//[^\n]*|#import [^\n]*|@[\w-]+|<[\w-]+>|\\.|\d-D\b"):
                continue
            if match := self.take(r"\$[^$]*\$"):
                if any(
                    len(number) > 1 for number in re.findall(r"[\d.,]*\d[\d.,]*\d|\d", match[0])
                ):
                    self.wrong(0)
            elif match := self.take(r"#(?:show: )?([\w-]+)(?:\.\w+)?(?=[(\[]|)"):
                self.call(match[1])
            elif here in '"0123456789':
                self.wrong()
            else:
                self.place += 1

    def call(self, name):
        if self.take(r"\("):
            self.code(name)
        while self.take(r"\["):
            self.markup("]")

    def code(self, name):
        """Scan the arguments of a function up to the bracket that closes them."""
        while not self.take(r"\)"):
            if match := self.take(r'"[^"]*"'):
                if re.search(r"\d", match[0]) and name not in LOOKUPS:
                    self.wrong(0)
            elif self.take(r"\["):
                self.markup("]")
            elif self.take(r"\("):
                self.code(name)
            elif self.take(r"<[\w-]+>|digits: \d\b|[\d.]+(?:pt|mm|cm|em|fr|%)(?!\w)|//[^\n]*"):
                pass
            elif match := self.take(r"([A-Za-z][\w-]*)(?=[(\[])"):
                self.call(match[1])
            elif self.take(r"[A-Za-z][\w-]*"):
                pass
            elif self.text[self.place].isdigit():
                self.wrong()
            else:
                self.place += 1


def test_no_number_is_typed_in_the_prose():
    assert Prose(SOURCE).found == []


@pytest.mark.parametrize(
    "text",
    [
        "It takes 3 epochs.",
        "The loss is 0.32 nats.",
        "The loss is $0.32$ nats, in $12$ runs.",
        '#emph("0.32")',
        "#emph[of 32 seeds]",
        "#listed([caption], ([a]), (([b], [0.5])))",
        "#box(width: 3)",
        'He said "4".',
        '#given("a", "b", before: [in 16 rows ])',
        "#picture(12)",
    ],
)
def test_a_typed_number_is_found(text):
    assert len(Prose(text).found) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "In 2-D @jain2016 and <tab-1>. // 100",
        "$x_1^2 + d (d + 1) \\/ 2$",
        '#cell("eyes/summary.csv", (dim: "2"), "kl", digits: 4) nats',
        '#listed([caption], ([1-D]), (([b], setting("p, 1-D"))))',
        "#v(2mm) #h(1fr)",
    ],
)
def test_names_lengths_and_formulas_are_no_typed_numbers(text):
    assert Prose(text).found == []


# --------------------------------------------------------------------------------------------------
# The committed article


@pytest.fixture(scope="module")
def article():
    colours = data.load_colours()
    return typesetting.typeset(RESULTS, colours, data.tutorial_pairs(colours))


def test_the_committed_article_is_that_of_the_tables(article):
    told = "run python -m experiments.paper"
    assert json.loads((COMMITTED / "numbers.json").read_text()) == article.numbers, told
    environment = json.loads((COMMITTED / "env.json").read_text())
    if environment["packages"]["typst"] == machine.package_version("typst"):
        assert (COMMITTED / "paper.pdf").read_bytes() == article.pdf, told


def _floats(text):
    return [float(part.replace(",", "")) for part in re.findall(r"-?[\d,]*\.?\d+", text)]


def test_numbers_are_those_of_the_tables(article):
    entries = {
        f"{entry['name']}: {one['what']}": one
        for entry in json.loads((RESULTS / "claims" / "claims.json").read_text())
        for one in entry["evidence"]
    }
    compared = 0
    for number in article.numbers:
        shown = number["text"].replace("\N{MINUS SIGN}", "-").replace(", ", " ")
        if number["table"] == "claims/claims.json" and number["row"] in entries:
            one = entries[number["row"]]
            expected = [one[key] for key in number["column"].split(", ") if key in one]
        elif number["table"].endswith(".csv") and re.fullmatch(
            r"(?!.* less )\w+ = .*", number["row"]
        ):
            wanted = dict(part.split(" = ") for part in number["row"].split("; "))
            with (RESULTS / number["table"]).open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if wanted.items() <= row.items()]
            (row,) = rows
            expected = [float(row[number["column"]])]
        else:
            continue
        for value, told in zip(expected, _floats(shown), strict=False):
            decimals = len(shown.split(" ")[0].partition(".")[2])
            assert told == pytest.approx(value, abs=0.51 * 10**-decimals), number
            compared += 1
    assert compared > 150


# --------------------------------------------------------------------------------------------------
# The program


def _run(
    *arguments, start="import runpy; runpy.run_module('experiments.paper', run_name='__main__')"
):
    return subprocess.run(
        [sys.executable, "-c", start, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def results(tmp_path):
    """A folder of results of which claims.json and sweep/summary.csv can be changed."""
    folder = tmp_path / "results"
    (folder / "sweep").mkdir(parents=True)
    shutil.copy(RESULTS / "sweep" / "summary.csv", folder / "sweep")
    shutil.copytree(RESULTS / "claims", folder / "claims")
    for name in ("grid", "eyes", "trust"):
        (folder / name).symlink_to(RESULTS / name, target_is_directory=True)
    return folder


def test_the_program_writes_the_article(results, tmp_path):
    out = tmp_path / "out"
    done = _run(f"--results={results}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert "pages" in done.stdout
    written = {path.name for path in out.iterdir()}
    assert written == {"paper.pdf", "setting.csv", "numbers.json", "config.json", "env.json"}
    assert (out / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert str(tmp_path).encode() not in b"".join(path.read_bytes() for path in out.iterdir())
    first = (out / "paper.pdf").read_bytes()
    assert _run(f"--results={results}", f"--out={out}").returncode == 0
    assert (out / "paper.pdf").read_bytes() == first


def _edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "claims/claims.json",
            "free weight, 2-D: share of trainings that recover",
            "free weight: share",
            "claims/claims.json, study 'sign', evidence: no row 'free weight, 2-D: share of "
            "trainings that recover'",
        ),
        (
            "sweep/summary.csv",
            ",recovered_share,",
            ",recovered_part,",
            "sweep/summary.csv, row head = free; dim = 2: no column 'recovered_share'",
        ),
        (
            "sweep/summary.csv",
            "\n2,free,",
            "\n9,free,",
            "sweep/summary.csv: 0 rows have head = free; dim = 2",
        ),
        ("claims/claims.json", '"estimand":', '"estimate":', "sign lacks 'estimand'"),
        ("claims/claims.json", '"sign"', '"sine"', "has no study 'sign'"),
    ],
)
def test_a_name_that_no_table_holds_is_told_in_one_line(results, tmp_path, file, old, new, told):
    _edit(results / file, old, new)
    done = _run(f"--results={results}", f"--out={tmp_path / 'out'}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "out").exists()


def test_a_missing_table_and_a_missing_wheel_are_told(results, tmp_path):
    (results / "eyes").unlink()
    done = _run(f"--results={results}", f"--out={tmp_path / 'out'}")
    assert done.returncode == 2
    assert f"file not found (searched at {results}/eyes" in done.stderr
    start = "import sys, runpy; sys.modules['typst'] = None; "
    start += "runpy.run_module('experiments.paper', run_name='__main__')"
    done = _run(f"--results={results}", f"--out={tmp_path / 'out'}", start=start)
    assert done.returncode == 2
    assert done.stderr == 'error: the article needs typst: pip install "colour_embed[paper]"\n'
