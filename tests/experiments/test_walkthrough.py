"""The walk through as a notebook: executed at a small size, and what is committed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from colour_embed.config import InputError
from experiments.walkthrough import notebook

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "walkthrough"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walkthrough") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "experiments.walkthrough", "--quick", f"--out={folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("cells: ")] == []
    return folder


@pytest.fixture(params=["quick", "committed"])
def made(request):
    """The notebook of a folder: the one executed here, and the one that is committed."""
    folder = request.getfixturevalue("out") if request.param == "quick" else COMMITTED
    return folder / "walkthrough.ipynb"


def test_the_program_executes_every_cell(out):
    assert {path.name for path in out.iterdir()} == {"walkthrough.ipynb", "config.json", "env.json"}
    assert json.loads((out / "config.json").read_text()) == {
        "experiment": "walkthrough",
        "sizes": notebook.QUICK,
    }
    assert set(json.loads((out / "env.json").read_text())["packages"]) >= {"jupytext", "nbclient"}
    cells = nbformat.read(out / "walkthrough.ipynb", 4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_outputs_hold_pictures_and_neither_errors_nor_warnings_nor_paths(made):
    found = nbformat.read(made, 4)
    nbformat.validate(found)
    notebook.check(found)
    outputs = [output for cell in found.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 10
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert not re.search(r"Warning|Traceback|site-packages|/tmp/|\.py:\d", made.read_text())


def test_the_metadata_do_not_depend_on_the_machine(made):
    found = nbformat.read(made, 4)
    assert found.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(set(cell.metadata) <= {"tags"} for cell in found.cells)


def test_every_section_ends_with_a_question_that_the_next_cell_answers(made):
    cells = nbformat.read(made, 4).cells
    starts = [k for k, cell in enumerate(cells) if cell.source.startswith("## ")]
    assert len(starts) == 12
    for start, end in zip(starts, [*starts[1:], len(cells)]):
        section = cells[start:end]
        (asked,) = (k for k, cell in enumerate(section) if "**Question.**" in cell.source)
        assert section[asked].source.rstrip().endswith(("?", ".")), section[0].source
        answer = section[asked + 1]
        assert answer.cell_type == "code", section[0].source
        assert answer.outputs, section[0].source


def test_the_committed_notebook_is_small_and_of_this_source():
    assert (COMMITTED / "walkthrough.ipynb").stat().st_size < 1e6
    found = nbformat.read(COMMITTED / "walkthrough.ipynb", 4)
    given = notebook.read()
    assert [(cell.cell_type, cell.source) for cell in found.cells] == [
        (cell.cell_type, cell.source) for cell in given.cells
    ]


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "stream", "name": "stderr", "text": "UserWarning: x"},
        {"output_type": "stream", "name": "stdout", "text": f"reads {ROOT}/results"},
        {"output_type": "execute_result", "data": {"text/html": f"<a href='{ROOT}/x'>"}},
    ],
)
def test_a_warning_or_a_path_of_the_machine_is_refused(output):
    found = notebook.read()
    cell = next(cell for cell in found.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.from_dict({"metadata": {}, **output})]
    with pytest.raises(InputError, match=rf"the output of {cell.id} is an error, a warning or"):
        notebook.check(found)


@pytest.mark.parametrize("package", ["jupytext", "nbclient", "ipykernel"])
def test_a_missing_package_is_named_in_one_line(package, tmp_path):
    program = (
        f"import sys, runpy; sys.modules[{package!r}] = None\n"
        "sys.argv = ['walkthrough', '--quick', '--out=out']\n"
        "runpy.run_module('experiments.walkthrough', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (
        f"error: the notebook needs {package}, which is not installed: "
        "pip install 'colour_embed[notebook]'"
    )
    assert list(tmp_path.iterdir()) == []
