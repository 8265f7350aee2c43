"""Patching the standard library for the application, in time: before that is imported, and never in the arbiter."""

import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from unicorn_core.errors import PluginError, UnicornError
from unicorn_core.settings.registry import Settings
from unicorn_http.serving import opening
from unicorn_workers_gevent.green import Library

_PATCHED = ("os", "queue", "select", "selectors", "socket", "ssl", "subprocess", "threading", "time", "_thread")
_NOT_THE_APPLICATIONS = frozenset(
    ("click", "dns", "eventlet", "gevent", "greenlet", "logging", "rich", "watchfiles", "zope")
)
"""What the server, or the library, has imported by itself."""


def check_installed(library: str) -> None:
    """In the arbiter, without importing it.

    Raises:
        PluginError: the library is not installed.
    """
    if importlib.util.find_spec(library) is None:
        raise PluginError(
            f"worker class {library!r} needs {library}, which is not installed: "
            f"pip install 'unicorn-workers-gevent[{library}]'"
        )


def prepare(name: str, load: Callable[[], Library], settings: Settings) -> None:
    """Patch, in a worker or a mold, and warn of what the application will use unpatched.

    Raises:
        UnicornError: the library cannot be imported.
    """
    if opening.secure(settings):
        _keep_ssl(settings)
    before = {module: vars(sys.modules[module]).copy() for module in _PATCHED if module in sys.modules}
    imported = dict(sys.modules)
    try:
        library = load()
    except Exception as error:
        version = ".".join(map(str, sys.version_info[:3]))
        raise UnicornError(
            f"worker class {name!r}: the installed {name} cannot be imported on Python {version}: "
            f"{type(error).__name__}: {error}"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was imported before is told below
        library.patch()
    if early := imported_early(before, imported):
        logging.getLogger("unicorn.error").warning(
            "Imported before the worker class %s could patch the standard library, so that it waits for real and holds "
            "up all requests: %s; import it in the application, not in the settings",
            name,
            ", ".join(early),
        )


def imported_early(before: Mapping[str, Mapping[str, Any]], imported: Mapping[str, ModuleType]) -> list[str]:
    """Of the modules that were imported already, those that have taken what is patched now; each with what it took.

    Args:
        before: what the patched modules had before, by module and name.
    """
    replaced = {
        id(value): f"{module}.{name}"
        for module, values in before.items()
        for name, value in values.items()
        # No constants: everybody has the same True.
        if callable(value) and vars(sys.modules[module]).get(name) is not value
    }
    found = []
    for name, module in imported.items():
        if _is_anothers(name):
            taken = {replaced[id(value)] for value in _values(module) if id(value) in replaced}
            if taken:
                found.append(f"{name} ({', '.join(sorted(taken))})")
    return sorted(found)


def _is_anothers(module: str) -> bool:
    top = module.partition(".")[0]
    known = top in sys.stdlib_module_names or top in _NOT_THE_APPLICATIONS
    return not known and not top.startswith("unicorn_") and top != "__main__"


def _values(module: ModuleType) -> Iterable[Any]:
    return list(getattr(module, "__dict__", {}).values())


def _keep_ssl(settings: Settings) -> None:
    """Let the server's TLS work on, whatever becomes of the module ssl.

    The classes of that module find each other by the names that are patched. So the server has a copy of its own, whose
    sockets `SSLContext.sslsocket_class` makes the context of the settings give.
    """
    import ssl

    from unicorn_http.serving.tls_context import context_of

    name = "unicorn_workers_gevent._ssl"
    spec = importlib.util.spec_from_file_location(name, ssl.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    sys.modules[name] = copy  # its enumerations ask for it while they are made
    spec.loader.exec_module(copy)
    context_of(settings).sslsocket_class = copy.SSLSocket
