"""The environment variables that tell a process where its dispatcher is."""

import os

SOCKET = ("UNICORN_DISPATCH_SOCKET", "GUNICORN_DIRTY_SOCKET")
"""They hold the path of its socket; the latter is what gunicorn calls it."""
BACKEND = "UNICORN_DISPATCH_BACKEND"
"""It names the backend, if that is not `local`."""


def announced() -> str | None:
    """Where the dispatcher is reached; None if nothing says so."""
    return next((place for variable in SOCKET if (place := os.environ.get(variable))), None)


def announce(place: str) -> None:
    """Tell this process, and the children that it will have."""
    for variable in SOCKET:
        os.environ[variable] = place


def conceal(place: str) -> None:
    """Undo `announce`."""
    for variable in SOCKET:
        if os.environ.get(variable) == place:
            del os.environ[variable]
