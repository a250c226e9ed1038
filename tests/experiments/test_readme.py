"""The README's numbers are those of the committed results, and its links lead somewhere."""

import re

from experiments import readme

TEXT = (readme.ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_made_from_the_results():
    assert readme.filled(TEXT) == TEXT, "run python -m experiments.readme"


def test_the_page_of_results_is_made_from_them():
    page = (readme.ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert readme.results_page() == page, "run python -m experiments.readme"
    links = re.findall(r"\]\(([^)#:]+)\)", page)
    assert len(links) > 10
    for link in links:
        assert (readme.ROOT / "results" / link).exists(), link


def test_a_changed_number_would_be_seen():
    assert readme.filled(TEXT.replace("training loss, nats per pair | 0", "| 1")) == TEXT


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert len(links) > 5
    for link in links:
        assert (readme.ROOT / link).exists(), link
