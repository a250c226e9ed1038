"""Imports of optional dependencies, with an error that says how to install them."""

from __future__ import annotations

import importlib
from types import ModuleType

from colour_embed.config import InputError


def from_extra(module: str, extra: str, what: str) -> ModuleType:
    """Import and return a module of an optional dependency.

    Args:
        module: Its name, such as "pyarrow.parquet".
        extra: The extra of this package that installs it.
        what: The feature that requires it, as the subject of the message.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        package = module.split(".")[0]
        raise InputError(
            f"{what} needs {package}, which is not installed: pip install 'colour_embed[{extra}]'"
        ) from None
