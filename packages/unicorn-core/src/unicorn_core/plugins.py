"""Plug-in discovery by entry points.

Packages meet only here: a plug-in is found by group and name, and imported when it is asked for, never before.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from unicorn_core.errors import PluginError

WORKERS = "unicorn.workers"
PROTOCOLS = "unicorn.protocols"
HTTP_PARSERS = "unicorn.http_parsers"
SETTINGS = "unicorn.settings"

_WHAT = {
    WORKERS: "worker class",
    PROTOCOLS: "protocol",
    HTTP_PARSERS: "HTTP parser",
    SETTINGS: "settings package",
}

# The names that unicorn's own distributions register, so that asking for one that is missing says what to install.
_SHIPPED = {
    (WORKERS, "sync"): "unicorn-http",
    (WORKERS, "gthread"): "unicorn-http",
    (WORKERS, "gevent"): "unicorn-workers-gevent[gevent]",
    (WORKERS, "eventlet"): "unicorn-workers-gevent[eventlet]",
    (WORKERS, "asgi"): "unicorn-asgi",
    (PROTOCOLS, "http"): "unicorn-http",
    (PROTOCOLS, "uwsgi"): "unicorn-uwsgi",
    (HTTP_PARSERS, "httptools"): "unicorn-http",
    (HTTP_PARSERS, "h11"): "unicorn-http",
}


def find(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


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
        raise PluginError(f"{what} {name!r} is not known; installed: {installed}")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{what} {name!r} ({point.value}) cannot be imported: {error}") from error
