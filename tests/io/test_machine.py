"""The record of what a run ran on: commits, versions, cores and the memory of a job."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import colour_embed
from colour_embed.io import machine

PACKAGE = Path(colour_embed.__file__).parent


def test_the_environment_names_versions_and_settings():
    import jax

    found = machine.environment("cpu", "0123")
    assert found["packages"]["colour_embed"] == colour_embed.__version__
    assert found["packages"]["jax"] == jax.__version__
    assert found["settings"]["jax_enable_x64"] is jax.config.jax_enable_x64
    assert found["cores"] == len(os.sched_getaffinity(0))


def _git(folder, *arguments):
    who = ["-c", "user.email=a@example.org", "-c", "user.name=a"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("tracked", [True, False])
def test_the_commit_of_a_repository_that_does_not_hold_the_code(tmp_path, tracked):
    _git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("" if tracked else ".venv")
    installed = tmp_path / ".venv" / "colour_embed"
    shutil.copytree(PACKAGE, installed, ignore=shutil.ignore_patterns("__pycache__"))
    _git(tmp_path, "add", "-A")
    _git(tmp_path, "commit", "-qm", "a paper")
    with (installed / "heads.py").open("a") as file:
        file.write("# edited\n")
    program = (
        "from colour_embed.io import machine as m; print(*m._commit(m.Path(m.__file__).parents[1]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(installed.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said[1] == ("True" if tracked else "None")
    assert (said[0] == "None") is not tracked


def test_one_core_of_the_machine():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from colour_embed.io import machine; print(machine.cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"1"


@pytest.mark.parametrize(
    ("membership", "file", "limit"),
    [
        ("0::/job/step\n", "job/step/memory.max", "1500000000\n"),
        ("0::/job/step\n", "job/memory.max", "1500000000\n"),  # a parent's limit holds too
        ("4:cpu,memory:/job\n0::/\n", "memory/job/memory.limit_in_bytes", "1500000000\n"),
        ("4:memory:/of/the/host\n", "memory/memory.limit_in_bytes", "1500000000\n"),
    ],
)
def test_the_memory_of_the_job(tmp_path, membership, file, limit):
    (tmp_path / "membership").write_text(membership)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(limit)
    (tmp_path / "memory.max").write_text("max\n")
    assert min(machine._memory_limits(tmp_path, tmp_path / "membership")) == 1_500_000_000
    assert 0 < machine.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
