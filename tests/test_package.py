"""What holds for the whole package: what importing it costs, its dependencies, what it reads."""

import ast
import doctest
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
HEAVY = ("jax", "flax", "optax", "pandas", "matplotlib", "scipy", "av", "keras")


@pytest.mark.parametrize(
    "module", ["colour_embed", "colour_embed.config", "colour_embed.data", "colour_embed.runs"]
)
def test_importing_loads_nothing_heavy(module):
    program = f"import sys, {module}; print(*(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# The public face


def _type_checked_names():
    """The names that __init__.py imports for type checkers."""
    tree = ast.parse((ROOT / "colour_embed" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return [alias.name for node in block.body for alias in node.names]


def test_public_names_are_the_same_for_users_and_type_checkers():
    import colour_embed as ce

    assert sorted(ce.__all__) == sorted(_type_checked_names()) == sorted(ce._HOMES)
    assert len(set(ce.__all__)) == len(ce.__all__)
    assert set(ce.__all__) <= set(dir(ce))
    with pytest.raises(AttributeError, match="'nothing'"):
        ce.nothing  # noqa: B018


def test_no_public_name_is_that_of_a_submodule():
    import colour_embed as ce

    modules = {path.stem for path in (ROOT / "colour_embed").glob("*.py")}
    modules |= {path.name for path in (ROOT / "colour_embed").iterdir() if path.is_dir()}
    assert not set(ce.__all__) & modules


@pytest.mark.parametrize("seed", range(2))
def test_public_names_can_be_read_in_any_order(seed):
    program = (
        "import random, types, colour_embed as ce\n"
        f"names = ce.__all__[:]; random.Random({seed}).shuffle(names)\n"
        "for name in names:\n"
        "    assert not isinstance(getattr(ce, name), types.ModuleType), name\n"
        "for name in names:\n"
        "    assert getattr(ce, name) is getattr(ce, name)\n"
        "    assert not isinstance(getattr(ce, name), types.ModuleType), name\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def _examples(name):
    import colour_embed as ce

    found = getattr(ce, name)
    # A dictionary has no docstring of its own: that of its entries' class shows it.
    if name == "HEADS":
        found = ce.Head
    module = sys.modules[found.__module__]
    (example,) = doctest.DocTestFinder(recurse=False).find(found, name, module, vars(module))
    return example


@pytest.mark.parametrize("name", _type_checked_names())
def test_every_public_name_has_an_example_that_runs(name, monkeypatch):
    import matplotlib

    monkeypatch.chdir(ROOT)
    matplotlib.use("agg")
    example = _examples(name)
    assert example.examples, f"{name} has no example"
    result = doctest.DocTestRunner().run(example)
    assert result.failed == 0
    assert result.attempted > 0


def test_a_missing_extra_is_named_in_one_line_when_it_is_used():
    program = (
        "import sys\n"
        "for name in ('sklearn', 'pyarrow', 'safetensors'): sys.modules[name] = None\n"
        "import colour_embed as ce\n"
        "from colour_embed.io import tables, vectors\n"
        "use = {\n"
        "    'estimator': lambda: ce.PairEmbedding(dim=2),\n"
        "    'parquet': lambda: vectors.write('x.parquet', ['a'], [[1.0]]),\n"
        "    'safetensors': lambda: vectors.write('x.safetensors', ['a'], [[1.0]]),\n"
        "}\n"
        "ce.PairEmbedding\n"
        "assert len(ce.load_colours()) == 646\n"
        "for call in use.values():\n"
        "    try: call()\n"
        "    except ce.InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for package, line in zip(("sklearn", "pyarrow", "safetensors"), lines):
        assert f"needs {package}, which is not installed: pip install 'colour_embed[pairs]'" in line


# What imports what

CORE = ("heads", "config", "data", "runs")
ALLOWED = {
    "heads": (),
    "config": ("heads",),
    "data": ("config", "io"),
    "runs": ("heads", "config", "viz"),  # viz where a notebook asks for HTML, as for pairs
    "model": ("heads", "config"),
    "engine": (*CORE, "model", "io"),
    "train": (*CORE, "model", "engine"),
    "sweeps": (*CORE, "model", "engine", "train"),
    "evaluate": CORE,
    "io": (*CORE, "__init__"),  # the version of the package
    "viz": (*CORE, "evaluate", "io"),
    "animation": (*CORE, "evaluate", "viz"),
    "pairs": (*CORE, "model", "engine", "train", "sweeps", "evaluate", "io", "viz"),
    "__init__": None,  # for type checkers it imports what it offers
}
"""Of each core module and drawer, what of the package it may import; itself always."""

NO_JAX = (*CORE, "evaluate", "io", "viz", "animation")


def _part(path):
    return path.relative_to(ROOT / "colour_embed").parts[0].removesuffix(".py")


def _sources(*parts):
    paths = sorted((ROOT / "colour_embed").rglob("*.py"))
    return [path for path in paths if _part(path) in parts]


def _imported(path):
    """The parts of the package that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not followed here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, *rest = name.split(".")
            if package == "colour_embed":
                yield rest[0] if rest else "__init__"
            elif package == "experiments":
                yield package


def test_imports_run_downwards():
    paths = sorted((ROOT / "colour_embed").rglob("*.py"))
    assert {_part(path) for path in paths} == ALLOWED.keys()
    for path in paths:
        allowed = ALLOWED[_part(path)]
        if allowed is not None:
            wrong = set(_imported(path)) - {_part(path), *allowed}
            assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_what_needs_no_jax_loads_none():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in _sources(*NO_JAX)
    ]
    assert len(modules) > 20
    program = f"import sys, {', '.join(modules)}; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_core_is_nine_files():
    assert len(list((ROOT / "colour_embed").glob("*.py"))) <= 9


# Dependencies and files


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
