"""What every program promises at the command line."""

import os
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


SMALL = ["--epochs=2", "--num_pairs=1000"]


def _run(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{program}", *arguments],
        env={**os.environ, **environment},
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


def test_a_platform_that_is_not_there(tmp_path):
    done = _run("tutorial", f"--out={tmp_path / 'out'}", *SMALL, JAX_PLATFORMS="nonsense")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "JAX_PLATFORMS is 'nonsense'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_settings_of_jax_do_not_change_results_and_the_home_is_expanded(tmp_path):
    settings = {"JAX_ENABLE_X64": "1", "JAX_THREEFRY_PARTITIONABLE": "0", "HOME": str(tmp_path)}
    grid = ["--seeds=0:2", "--dims=2", "--vary=pairs", *SMALL]
    changed = _run("sweep", "--out=~/changed", *grid, **settings, JAX_DEFAULT_PRNG_IMPL="rbg")
    assert changed.returncode == 0, changed.stderr
    for name in ("X64", "PARTITIONABLE", "PRNG_IMPL"):
        assert f"{name} is not used" in changed.stderr
    assert _run("sweep", f"--out={tmp_path / 'plain'}", *grid).returncode == 0
    runs = [(tmp_path / name / "runs.csv").read_bytes() for name in ("changed", "plain")]
    assert runs[0] == runs[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount needs root")
def test_a_full_disk_is_one_line(tmp_path):
    mount = f"mount -t tmpfs -o size=300k none {tmp_path} || exit 77"
    sweep = f"{sys.executable} -m experiments.sweep --out={tmp_path}/out --seeds=0:8 --dims=2,3"
    program = f"{mount}\n{sweep} --epochs=200 --num_pairs=1000 --checkpoint_every=1"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no right to mount")
    assert done.returncode == 2
    assert "No space left on device; free some of it" in done.stderr
    assert "Traceback" not in done.stderr
