"""The README's numbers are those of the committed results, and its links lead somewhere."""

import json
import re
import subprocess
import sys

import pytest

from colour_embed.config import InputError
from experiments import _results_page, readme

TEXT = (readme.ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = readme.ROOT / "results"


def test_the_tables_are_made_from_the_results():
    assert readme.filled(TEXT) == TEXT, "run python -m experiments.readme"


def test_the_page_of_figures_is_made_from_the_results():
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert readme.results_page() == page, "run python -m experiments.readme"
    links = re.findall(r"\]\(([^)#:]+)\)", page)
    assert len(links) > 100
    for link in links:
        assert (RESULTS / link).exists(), link


def test_every_figure_is_on_the_page_with_what_made_it():
    _results_page.check(RESULTS)
    page = readme.results_page()
    figures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\.png\)", page)
    assert len(figures) == len(set(figures)) > 40
    blocks = page.split("!")[1:]
    for block in blocks[:-1]:  # the last one is a picture of the HTML file
        assert re.search(r"Study: .*\]\(\.\./experiments/.*Tables: \[", block), block
        own = "experiments.claims" in block
        commit = r"[0-9a-f]{10}" if own else r"in \[env\.json\]\([^)]+/env\.json\)"
        assert re.search(r"`python -m experiments\.[^`]+`, commit " + commit, block), block


def test_commits_are_those_of_the_folders():
    config = json.loads((RESULTS / "claims" / "config.json").read_text())
    page = readme.results_page()
    for name, study in config["studies"].items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert study["commit"][:10] in section
        assert f"--only {name} " in section


def test_flags_of_the_page_exist():
    commands = re.findall(r"`python -m experiments\.(\w+)([^`]*)`", readme.results_page())
    helps = {}
    for program, arguments in commands:
        if program not in helps:
            done = subprocess.run(
                [sys.executable, "-m", f"experiments.{program}", "--help"],
                cwd=readme.ROOT,
                capture_output=True,
                text=True,
            )
            helps[program] = done.stdout
        for flag in re.findall(r"--\w+", arguments):
            assert f"  {flag}" in helps[program], f"{program} {flag}"


def test_a_figure_that_is_not_on_the_page_is_told(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "new.png").touch()
    with pytest.raises(InputError, match=r"sweep/new\.png: is not on the page"):
        _results_page.check(tmp_path)


def test_a_changed_number_would_be_seen():
    assert readme.filled(TEXT.replace("training loss, nats per pair | 0", "| 1")) == TEXT


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert len(links) > 5
    for link in links:
        assert (readme.ROOT / link).exists(), link
