"""The notebook: its source, its execution in a new kernel, and what it must not hold."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from colour_embed.config import InputError
from colour_embed.io.extras import from_extra

SOURCE = Path(__file__).with_name("cells.py")
QUICK = {"EPOCHS": 4, "PAIRS": 4000}
"""Values by which every cell runs in seconds."""

_ROOT = Path(__file__).parents[2]
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(sizes: Mapping[str, int] | None = None) -> Any:
    """Return the notebook of cells.py, without outputs.

    Args:
        sizes: Values that replace those of the cell tagged "parameters", by name.

    Raises:
        InputError: jupytext is not installed.
    """
    notebook = from_extra("jupytext", "notebook", "the notebook").read(SOURCE)
    notebook.metadata = {**_METADATA}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # jupytext draws them at random
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}  # without jupytext's own
        if "parameters" in tags:
            for name, value in (sizes or {}).items():
                cell.source = re.sub(rf"(?m)^{name} = [\d_]+", f"{name} = {value}", cell.source)
    return notebook


def sizes_of(notebook: Any) -> dict[str, int]:
    """Return the values of the cell tagged "parameters", by name."""
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return {name: int(value) for name, value in re.findall(r"(?m)^(\w+) = ([\d_]+)", cell.source)}


def execute(notebook: Any, report: Callable[[int], None], cache: str) -> None:
    """Execute the cells of a notebook in a new kernel on CPUs, and keep their outputs.

    Args:
        notebook: Of `read`; it is changed.
        report: Called with the number of executed cells.
        cache: Folder of JAX's compiled programs.

    Raises:
        InputError: nbclient or ipykernel is not installed, a cell failed, or an output holds a
            warning or a path of the machine.
    """
    nbclient = from_extra("nbclient", "notebook", "the notebook")
    from_extra("ipykernel", "notebook", "the notebook")
    import matplotlib.font_manager  # noqa: F401  # the first import on a machine logs a warning

    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as folder:
        # A folder of its own keeps the user's settings of IPython out.
        own = {"PYTHONPATH": os.pathsep.join(paths), "IPYTHONDIR": folder, "JAX_PLATFORMS": "cpu"}
        own |= {"JAX_COMPILATION_CACHE_DIR": cache}
        own |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
        # As in `_cli`: loading a cached program logs errors though none failed.
        own |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
        client = nbclient.NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            record_timing=False,
            resources={"metadata": {"path": folder}},
            on_cell_complete=lambda cell, cell_index: report(cell_index + 1),
        )
        try:
            client.execute(env={**os.environ, **own})
        except nbclient.exceptions.CellExecutionError as error:
            raise InputError(f"{SOURCE.name}: {error.ename}: {error.evalue}") from None
    notebook.metadata = {**_METADATA}  # that of the kernel has its version
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
    check(notebook)


def check(notebook: Any) -> None:
    """Raise an InputError if an output is an error or a warning, or has a path of the machine."""
    places = {str(place) for place in (_ROOT, Path.home(), sys.prefix, tempfile.gettempdir())}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            written = str(output.get("text", "")) + str(
                [value for kind, value in output.get("data", {}).items() if "image" not in kind]
            )
            wrong = output.output_type == "error" or output.get("name") == "stderr"
            if wrong or any(f"{place}/" in written for place in places):
                raise InputError(
                    f"{SOURCE.name}: the output of {cell.id} is an error, a warning or has a path "
                    f"of the machine: {' '.join(written.split())[:200]}"
                )


def _smaller(picture: str) -> str:
    """Return a PNG in base64 at 5 bits a channel, which takes 6 tenths of the bytes.

    Colours change by at most 4 of 255, and white, black and greys stay so.
    """
    from PIL import Image

    values = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    rounded = io.BytesIO()
    values.point(lambda value: round(round(value * 31 / 255) * 255 / 31)).save(
        rounded, "png", optimize=True
    )
    return base64.b64encode(rounded.getvalue()).decode()


def write(notebook: Any, path: Path) -> None:
    """Write a notebook as JSON."""
    from_extra("nbformat", "notebook", "the notebook").write(notebook, path)
