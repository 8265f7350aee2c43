"""Where raw values come from: a Python configuration file, UNICORN_<SETTING> variables, arguments in the environment.

Order of the merge, later wins: defaults, defaults changed by PORT and the like, file, UNICORN_<SETTING>,
UNICORN_CMD_ARGS, command line.
"""

import importlib
import os
import runpy
import shlex
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from unicorn_core.errors import ConfigFileError, SettingError
from unicorn_core.settings.registry import Registry, Source

CONFIG_FILES = ("./unicorn.conf.py", "./gunicorn.conf.py")
ARGUMENT_VARIABLES = ("UNICORN_CMD_ARGS", "GUNICORN_CMD_ARGS")


def default_config_file() -> str | None:
    """The configuration file of the working folder that is read without being named, if there is one."""
    return next((path for path in CONFIG_FILES if os.path.isfile(path)), None)


def config_file(registry: Registry, reference: str) -> Source:
    """Settings of a Python file (`path`, `file:path`) or module (`python:module`).

    Names that are no settings are the file's own business; a plain value that looks like a misspelt setting
    gets a warning.

    Raises:
        ConfigFileError: it does not exist or raises; `details` holds the traceback of the user's code.
    """
    names = _python_module(reference[7:]) if reference.startswith("python:") else _python_file(reference)
    values = {name: value for name, value in names.items() if name in registry.names}
    where = f"file {reference.removeprefix('file:')}"
    warnings = []
    for name, value in names.items():
        if name not in registry.names and _is_plain(name, value):
            close = next((known for known in registry.settings if _is_typo(name, known)), None)
            if close:
                warnings.append(f"{where}: {name!r} is not a setting and is ignored; did you mean {close!r}?")
    return Source(where, values, warnings=tuple(warnings))


def variables(registry: Registry, environ: Mapping[str, str]) -> Source:
    """UNICORN_<SETTING> variables, such as UNICORN_WORKERS=4."""
    values = {name: environ[variable] for name in registry.names if (variable := f"UNICORN_{name.upper()}") in environ}
    return Source("environment", values, {name: f"environment UNICORN_{name.upper()}" for name in values})


def environment_arguments(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Name and words of the first variable that holds command line arguments; ("", []) if none does.

    Raises:
        SettingError: its quotes do not match.
    """
    for variable in ARGUMENT_VARIABLES:
        if text := environ.get(variable, "").strip():
            try:
                return variable, shlex.split(text)
            except ValueError as error:
                raise SettingError(f"environment {variable}: {error}: {text}") from None
    return "", []


def _python_file(reference: str) -> dict[str, Any]:
    path = reference.removeprefix("file:")
    if not os.path.isfile(path):
        raise ConfigFileError(f"configuration file {path!r} does not exist")
    try:
        return runpy.run_path(path, {"__file__": os.path.abspath(path)}, run_name="__config__")
    except BaseException as error:
        raise _failed(f"configuration file {path!r}", error) from error


def _python_module(module: str) -> dict[str, Any]:
    # The file of a reload must be read anew, and the module may lie beside the application.
    sys.modules.pop(module, None)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return vars(importlib.import_module(module)).copy()
    except BaseException as error:
        raise _failed(f"configuration module {module!r}", error) from error


def _failed(what: str, error: BaseException) -> ConfigFileError:
    if isinstance(error, KeyboardInterrupt):
        raise error
    frames = traceback.TracebackException.from_exception(error)
    # Only the user's frames help: those above them are this module's and runpy's.
    own = [f for f in frames.stack if f.filename not in (__file__, runpy.__file__) and "importlib" not in f.filename]
    frames.stack = traceback.StackSummary.from_list([f for f in own if not f.filename.startswith("<frozen")])
    return ConfigFileError(f"{what} failed: {type(error).__name__}: {error}", "".join(frames.format()))


def _is_plain(name: str, value: object) -> bool:
    return not name.startswith("_") and (
        value is None or isinstance(value, str | int | float | bool | list | tuple | dict)
    )


def _is_typo(name: str, known: str) -> bool:
    """Within an edit distance of 2, of names long enough that this says something."""
    shorter, longer = sorted((name, known), key=len)
    if len(longer) - len(shorter) > 2 or len(shorter) < 5:
        return False
    row = list(range(len(longer) + 1))
    for i, left in enumerate(shorter, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(longer, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1] <= 2
