"""The study of human judgements: its data, its measure, and the program at a small size."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from colour_embed.config import InputError
from experiments import _eyes as eyes


def test_distances_become_similarities_and_two_sessions_count_as_one_observer():
    judged = eyes.read_judgements()
    assert judged.groupby("vision")["observer"].nunique().to_dict() == {
        "deficient": 4,
        "normal": 10,
    }
    one = judged[judged["subject"] == "N1"]
    assert one["similarity"].min() == 0
    assert one["similarity"].iloc[0] == pytest.approx(1 - 6.8 / one["distance"].max())
    assert judged.groupby("observer")["weight"].sum().tolist() == pytest.approx([45] * 14)
    assert sorted(judged.loc[judged["weight"] == 0.5, "subject"].unique()) == [
        *("CD2a", "CD2b", "N6a", "N6b"),
    ]


def test_a_missing_judgement_is_told(tmp_path):
    lines = eyes.JUDGEMENTS.read_text().splitlines(keepends=True)
    path = tmp_path / "helm.csv"
    path.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="each observer must judge each of 45 pairs once"):
        eyes.read_judgements(path)


def test_divergence_of_a_prediction():
    similarity = np.array([0.5, 0.0, 1.0, 0.25])
    found = eyes.divergence(similarity, np.array([0.5, 0.5, 0.5, 0.5]))
    last = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    np.testing.assert_allclose(found, [0, np.log(2), np.log(2), last], rtol=1e-12)


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        (range(10), 10),
        (range(9, -1, -1), 10),
        ([*range(9, 3, -1), *range(4)], 8),  # 4 and 0, 3 and 9 are apart on the circle
        ([0, 2, 1, *range(3, 10)], 8),
    ],
)
def test_neighbours_on_the_circle(order, kept):
    angle = 2 * np.pi * np.argsort(list(order)) / 10 + 0.3
    part = pd.DataFrame({"x0": np.cos(angle), "x1": np.sin(angle)})
    assert eyes.neighbours_kept(part) == kept


def test_the_smallest_dimension_within_one_standard_error_is_selected():
    kl = {1: [0.30, 0.40, 0.50], 2: [0.11, 0.10, 0.12], 3: [0.10, 0.11, 0.11]}
    rows = [
        {"vision": "normal", "dim": dim, "observer": f"N{place}", "kl": value}
        for dim, values in kl.items()
        for place, value in enumerate(values)
    ]
    summary = eyes.summary_of(pd.DataFrame(rows)).set_index("dim")
    # 2 is above 3 by 0.01, -0.01 and 0.01: 0.0033 on average, with a standard error of 0.0067.
    assert summary.loc[2, "difference"] == pytest.approx(0.01 / 3)
    assert summary.loc[2, "standard_error"] == pytest.approx(0.02 / 3)
    assert summary["selected"].tolist() == [False, True, False]


def test_the_program_writes_its_tables_and_its_figure(tmp_path):
    out = tmp_path / "out"
    small = ["--seeds=2", "--folds=2", "--repeats=1", "--max_steps=100"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.eyes", f"--out={out}", *small],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names = {"config.json", "env.json", "eyes.pdf", "eyes.png"}
    assert {path.name for path in out.iterdir()} == names | {
        *("observers.csv", "summary.csv", "map.csv"),
    }
    summary = pd.read_csv(out / "summary.csv")
    assert summary.groupby("vision")["dim"].apply(list).to_dict() == {
        "deficient": [0, 1, 2, 3, 4],
        "normal": [0, 1, 2, 3, 4],
    }
    assert summary.groupby("vision")["selected"].sum().tolist() == [1, 1]
