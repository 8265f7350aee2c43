"""Plug-in discovery by entry points.

Packages meet only here: a plug-in is found by group and name, and imported when it is asked for, never before.

The entry points are read here and not by importlib.metadata, which is slow: to import it and to search with it for what
a start needs took 35 of the 130 ms between the command and the first answer.
"""

import importlib
import os
import stat
import sys
from functools import lru_cache
from operator import attrgetter
from typing import Any

from msgspec import Struct

from unicorn_core.errors import PluginError

WORKERS = "unicorn.workers"
PROTOCOLS = "unicorn.protocols"
HTTP_PARSERS = "unicorn.http_parsers"
SETTINGS = "unicorn.settings"
DISPATCH_BACKENDS = "unicorn.dispatch_backends"

_WHAT = {
    WORKERS: "worker class",
    PROTOCOLS: "protocol",
    HTTP_PARSERS: "HTTP parser",
    SETTINGS: "settings package",
    DISPATCH_BACKENDS: "dispatch backend",
}

# The names that unicorn's own distributions register, so that asking for one that is missing says what to install.
_SHIPPED = {
    (WORKERS, "sync"): "unicorn-http",
    (WORKERS, "gthread"): "unicorn-http",
    (WORKERS, "gevent"): "unicorn-workers-gevent[gevent]",
    (WORKERS, "eventlet"): "unicorn-workers-gevent[eventlet]",
    (WORKERS, "asgi"): "unicorn-asgi",
    (WORKERS, "uvicorn.workers.UvicornWorker"): "unicorn-asgi",
    (WORKERS, "uvicorn_worker.UvicornWorker"): "unicorn-asgi",
    (PROTOCOLS, "http"): "unicorn-http",
    (PROTOCOLS, "uwsgi"): "unicorn-uwsgi",
    (HTTP_PARSERS, "httptools"): "unicorn-http",
    (HTTP_PARSERS, "h11"): "unicorn-http",
    (HTTP_PARSERS, "h1c"): "unicorn-http[h1c]",
}


class EntryPoint(Struct, frozen=True):
    """One line of a distribution's entry points: `name = value`, where the value is module:attribute."""

    group: str
    name: str
    value: str

    def load(self) -> Any:
        """Import the module and return the attribute (of an attribute ...) of it, or the module itself."""
        reference = self.value.partition("[")[0].rstrip()  # [extras] say nothing to who imports
        module, _, attribute = reference.partition(":")
        imported = importlib.import_module(module.rstrip())
        return attrgetter(attribute.lstrip())(imported) if attribute else imported


def find(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name; nothing is imported."""
    found: dict[str, EntryPoint] = {}
    seen: set[str] = set()
    for place in sys.path:
        try:
            status = os.stat(place or os.curdir)
        except OSError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            return _find_everywhere(group)
        for distribution, points in _installed(place or os.curdir, status.st_mtime_ns):
            # The first distribution of a name is the one that would be imported.
            if distribution not in seen:
                seen.add(distribution)
                found.update((point.name, point) for point in points if point.group == group)
    return found


def load(group: str, name: str) -> Any:
    """Import one plug-in and return its object.

    Raises:
        PluginError: it is not installed, or its import fails.
    """
    points = find(group)
    point = points.get(name)
    what = _WHAT.get(group, group)
    if point is None:
        if distribution := _SHIPPED.get((group, name)):
            wanted = f"'{distribution}'" if "[" in distribution else distribution
            raise PluginError(f"{what} {name!r} is not installed: pip install {wanted}")
        installed = ", ".join(sorted(points)) or "none"
        hint = " (a class is named module:Class)" if group == WORKERS and "." in name else ""
        raise PluginError(f"{what} {name!r} is not known{hint}; installed: {installed}")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{what} {name!r} ({point.value}) cannot be imported: {error}") from error


def _find_everywhere(group: str) -> dict[str, EntryPoint]:
    """The same by importlib.metadata, which can look into a zip file on `sys.path` as well."""
    from importlib.metadata import entry_points

    return {point.name: EntryPoint(group, point.name, point.value) for point in entry_points(group=group)}


@lru_cache(maxsize=64)
def _installed(folder: str, changed: int) -> list[tuple[str, list[EntryPoint]]]:
    """The distributions with entry points in a folder of `sys.path`, which last `changed` then.

    A start asks for half a dozen groups, and each worker for some; what is installed later changes the folder.
    """
    found = []
    for entry in os.listdir(folder):
        name, extension = os.path.splitext(entry)
        if extension in (".dist-info", ".egg-info"):
            try:
                with open(os.path.join(folder, entry, "entry_points.txt"), encoding="utf-8") as file:
                    points = _parse(file.read())
            except OSError:
                points = []
            found.append((_normal(name), points))
    return found


def _normal(name: str) -> str:
    """The name of a distribution out of that of its folder, such as Some.Name-1.0 or some_name-1.0."""
    return name.partition("-")[0].replace(".", "_").lower()


def _parse(text: str) -> list[EntryPoint]:
    """The lines of an entry_points.txt (packaging.python.org, "Entry points specification")."""
    points = []
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            points.append(EntryPoint(group, name.strip(), value.strip()))
    return points
