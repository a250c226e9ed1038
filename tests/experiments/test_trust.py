"""The studies of selected dimensions and of ellipses, at a small size."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from colour_embed import data
from experiments import trust


def test_the_tables(tmp_path):
    small = ["--num_pairs=2000", "--draws=1", "--dims=1,2", "--max_steps=200"]
    cover = ["--labels=4", "--fits=2", "--bootstrap=6"]
    command = [sys.executable, "-m", "experiments.trust", f"--out={tmp_path / 'out'}"]
    done = subprocess.run([*command, *small, *cover], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    selection = pd.read_csv(tmp_path / "out" / "selection.csv")
    assert selection["rule"].tolist() == list(trust.RULES)
    assert (selection["least_excess"] > 0).all()
    assert selection["reason"].tolist()[2].startswith("no AIC and BIC: ")
    coverage = pd.read_csv(tmp_path / "out" / "coverage.csv")
    assert coverage["dim"].tolist() == [2, 3]
    assert (coverage["positions"] == 2 * 64).all()
    assert coverage["coverage"].between(0, 1).all()


def test_rules_count_by_hand():
    rows = [
        {"pairs": 10, "rule": "a", "selected": one, "least_excess_dim": 2, "excess": 0.3 - one / 10}
        for one in (1.0, 2.0, np.nan)
    ]
    found = trust.summary_of(pd.DataFrame(rows).assign(least_excess=0.1)).iloc[0]
    assert (found["draws"], found["found"], found["share"]) == (2, 1, 0.5)
    assert found["mean_regret"] == pytest.approx((0.1 + 0.0) / 2)
    assert found["mean_selected"] == 1.5


def test_pairs_are_drawn_anew_and_never_of_one_colour():
    colours = data.load_colours()
    one, other = (trust.drawn_pairs(colours, 5000, seed) for seed in (0, 1))
    assert (one.index != other.index).any()
    assert (one.index[:, 0] != one.index[:, 1]).all()
    assert abs(one.label.mean() - other.label.mean()) < 0.03
