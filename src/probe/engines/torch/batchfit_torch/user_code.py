"""Finds a function in a user's Python file."""
from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from typing import Any, Callable


class NoSuchFunction(Exception):
    """The file or the function in it is not there."""


def load_function(path: str, function: str, module: str) -> Callable[..., Any]:
    """Runs the file as a module of the given name, with its folder on the import path as `python file.py` has it."""
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise NoSuchFunction(f"{path}: no such Python file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec.loader.exec_module(code)
    made = getattr(code, function, None)
    if not callable(made):
        found = ", ".join(name for name, value in vars(code).items() if inspect.isfunction(value) and value.__module__ == spec.name)
        raise NoSuchFunction(f'{path}: no function "{function}" (it has: {found or "none"})')
    return made
