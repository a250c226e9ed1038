"""The program that damages files, and what it finds: nothing."""

import json
import subprocess
import sys

import pytest
from test_pair_files import exactly, same

from colour_embed.config import InputError
from colour_embed.pairs import reading
from experiments import fuzz


@pytest.fixture(scope="module")
def cases():
    return fuzz.valid_cases()


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.fuzz", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_tables_are_valid_before_the_damage(cases, tmp_path):
    for case in cases:
        paths = fuzz.write_case(case, tmp_path)
        assert fuzz.outcome(paths, case.options) == ("table", "")


def test_damage_is_the_same_for_the_same_number(cases):
    assert fuzz.damaged(cases, 3, 5) == fuzz.damaged(cases, 3, 5)
    different = [fuzz.damaged(cases, seed, number) for seed in (0, 1) for number in range(3)]
    assert len({repr(case) for case in different}) > 4


def test_the_fast_reader_reads_what_the_exact_one_reads(cases, tmp_path):
    tables = 0
    for number in range(800):
        case = fuzz.damaged(cases, 7, number)
        pairs, items = fuzz.write_case(case, tmp_path)
        options = {**case.options, "items": items}
        kind, what = fuzz.outcome((pairs, items), case.options)
        assert kind in ("table", "refused"), f"{number}: {what}"
        if kind == "table":
            tables += 1
            same(reading.read_pairs(pairs, **options), exactly(pairs, **options))
        else:
            with pytest.raises(InputError):
                exactly(pairs, **options)
    assert tables > 80


def test_program(tmp_path):
    out = tmp_path / "fuzz"
    done = run("--files=150", "--seed=1", f"--out={out}")
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "fuzz.json").read_text())
    assert found["files"] == 150 == sum(found["outcomes"].values())
    assert found["failures"] == []
    assert sum(found["messages"].values()) == found["outcomes"]["refused"]
    assert str(tmp_path) not in (out / "fuzz.json").read_text()
    assert json.loads((out / "config.json").read_text())["experiment"] == "fuzz"
    assert (out / "env.json").exists()


def test_help():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for flag in ("--out (default: results/fuzz)", "--seconds", "--files", "--seed", "--start"):
        assert flag in done.stdout


def test_bad_usage_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    done = run("--files=1", f"--out={tmp_path}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = run("--files=none")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def raises(*_):
    raise KeyError("a fault of the reader")


def test_what_is_not_allowed_is_found(cases, tmp_path, monkeypatch):
    paths = fuzz.write_case(cases[0], tmp_path)
    monkeypatch.setattr(reading, "_warnings", raises)
    assert fuzz.outcome(paths, {}) == ("failed", "KeyError: \"'a fault of the reader'\"")
    monkeypatch.setattr(reading, "_warnings", lambda *_: ["two\nlines"])
    assert fuzz.outcome(paths, {}) == ("failed", "does not hold: warnings are lines")


def answer_badly(connection):
    """Stands for `_serve`: hangs on a True, crashes on a False."""
    connection.send(None)
    _, options = connection.recv()
    if options:
        connection.recv()
    raise SystemExit(3)


def test_hangs_and_crashes_are_found(monkeypatch):
    monkeypatch.setattr(fuzz, "_serve", answer_badly)
    monkeypatch.setattr(fuzz, "PATIENCE", 0.5)
    reader = fuzz.Reader()
    assert reader.read(("hang", None), True) == ("failed", "no answer in 0.5 s")
    monkeypatch.setattr(fuzz, "PATIENCE", 20)
    assert reader.read(("crash", None), False) == ("failed", "the process ended with 3")
    reader.close()


def test_kinds_of_messages():
    one = "p.csv, rows 3, 4, column 'a: b': 'it\\'s' is no label; give 0.5 or 1"
    other = 'p.csv, row 9, column "c": "x" is no label; give 1 or 2'
    assert fuzz.message_kind(other) == "… is no label; give N or N"
    assert fuzz.message_kind(other).endswith(fuzz.message_kind(one)[-20:])
