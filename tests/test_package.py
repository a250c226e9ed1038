"""What holds for the whole package: what importing it costs, its dependencies, what it reads."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
HEAVY = ("jax", "flax", "optax", "pandas", "matplotlib", "scipy", "av", "keras")


@pytest.mark.parametrize("module", ["colour_embed", "colour_embed.config", "colour_embed.data"])
def test_importing_loads_nothing_heavy(module):
    program = f"import sys, {module}; print(*(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_dependency_on_jax_leaves_out_its_faulty_releases():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    jax = next(r for r in requirements if r.name == "jax").specifier
    for version in ("0.10.1", "0.11.0", "0.11.2"):
        assert version in jax
    for version in ("0.10.0", "0.10.2", "0.11.1"):
        assert version not in jax


def test_version_is_that_of_the_project():
    import colour_embed

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert colour_embed.__version__ == project["version"]


def tracked_files():
    """The files under version control, as they lie in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_place_on_a_machine():
    # Put together here, so that this file does not match itself.
    pattern = re.compile(rb"(?<![\w.])/(?:" + b"|".join([b"work", b"root", b"home"]) + rb")/[\w.-]")
    assert pattern.search(b"reads /" + b"work/main/x")
    assert not pattern.search(b"https://example.org/" + b"home/x")
    files = tracked_files()
    assert files
    found = [str(path.relative_to(ROOT)) for path in files if pattern.search(path.read_bytes())]
    assert found == []


def test_package_reads_nothing_from_the_shared_folder():
    sources = [
        p for folder in ("colour_embed", "experiments") for p in (ROOT / folder).rglob("*.py")
    ]
    assert len(sources) > 5
    pattern = re.compile(r"""shared/|["']shared["']""")
    assert [p.name for p in sources if pattern.search(p.read_text())] == []


def test_only_one_file_knows_flax():
    sources = (ROOT / "colour_embed").rglob("*.py")
    pattern = re.compile(r"^\s*(?:from|import) flax", re.MULTILINE)
    assert [path.name for path in sources if pattern.search(path.read_text())] == ["model.py"]
