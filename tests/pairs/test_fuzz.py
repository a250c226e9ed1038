"""Damaged files: a fixed number of them passes, and the check finds what must not be."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pairs import fuzz

from colour_embed.pairs import reading


def test_damaged_files_give_a_table_or_one_line():
    command = [sys.executable, str(Path(fuzz.__file__)), "--files=3000", "--seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3,000 files in ")
    assert int(re.search(r"'table': (\d+)", done.stdout)[1]) > 300


def test_the_tables_are_valid_before_the_damage(tmp_path):
    for case in fuzz.valid_cases():
        assert fuzz.outcome(case, tmp_path) == ("table", "")
    assert list(tmp_path.iterdir()) == []


def test_damage_is_the_same_for_the_same_number():
    cases = fuzz.valid_cases()
    assert fuzz.damaged(cases, 3, 5) == fuzz.damaged(cases, 3, 5)
    different = [fuzz.damaged(cases, seed, number) for seed in (0, 1) for number in range(3)]
    assert len({repr(case) for case in different}) > 4


def fault_in_the_reader(*_, **__):
    raise KeyError("a fault of the reader")


@pytest.mark.parametrize(
    ("warn", "said"),
    [
        (fault_in_the_reader, "KeyError: \"'a fault of the reader'\""),
        (lambda *_, **__: ["two\nlines"], "does not hold: warnings are lines"),
        (lambda *_, **__: [str(time.perf_counter())], "AssertionError: ''"),  # the readers differ
    ],
)
def test_what_must_not_be_is_found(tmp_path, monkeypatch, warn, said):
    monkeypatch.setattr(reading, "pair_warnings", warn)
    assert fuzz.outcome(fuzz.valid_cases()[0], tmp_path) == ("failed", said)


def hang(case, folder):
    time.sleep(60)


def crash(case, folder):
    os._exit(3)


@pytest.mark.parametrize("check", [hang, crash])
def test_hangs_and_crashes_are_found(monkeypatch, check):
    monkeypatch.setattr(fuzz, "PATIENCE", 0.5)
    found = list(fuzz.outcomes(0, 8, 2, check))
    assert found == [(number, "failed", "no answer in 0.5 s") for number in (8, 9)]
