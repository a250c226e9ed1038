"""What every program promises at the command line."""

import subprocess
import sys

import pytest

PROGRAMS = {
    "tutorial": ("results/tutorial", 11),
    "sweep": ("results/sweep", 24),
    "claims": ("results/claims", 8),
    "benchmark": ("results/benchmark", 9),
    "page": ("results/page.html", 4),
    "figures": ("results/figures", 4),
}
"""Where each writes by default, and how many flags it has at the least."""


def _run(program, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{program}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_explains_every_flag_and_exits_0(program):
    done = _run(program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    out, least = PROGRAMS[program]
    assert f"--out (default: {out})" in done.stdout
    lines = done.stdout.splitlines()
    listed = [i for i, line in enumerate(lines) if line.startswith("  --")]
    assert len(listed) >= least
    for i in listed:
        assert len(lines[i + 1].strip()) > 10, f"no explanation of {lines[i]}"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--epoch=5"], "epoch"),
        (["--epochs=many"], "many"),
        (["--epochs=-1"], "epochs is -1"),
        (["--batch_size=0"], "batch_size is 0"),
        (["--learning_rate=nan"], "learning_rate is nan"),
        (["--head=positive"], "'positive'"),
        (["--colours=nowhere.csv"], "nowhere.csv"),
        (["--optimizer=adamm"], "'adamm'"),
        (["--num_pairs=0"], "0"),
        (["results"], "'results' is no flag"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(tmp_path, arguments, part):
    done = _run("tutorial", f"--out={tmp_path / 'out'}", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    done = _run("tutorial", f"--out={tmp_path / 'out'}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "out").read_text() == "x"
