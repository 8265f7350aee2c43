"""unicorn-core: arbiter, settings, plug-ins, logging and worker base of the unicorn application server.

For programs that run an arbiter themselves, `Arbiter`, `Settings`, `Worker` and `BaseApplication` can be imported from
here; each is loaded when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unicorn_core.arbiter.arbiter import Arbiter
    from unicorn_core.embed import BaseApplication
    from unicorn_core.settings.registry import Settings
    from unicorn_core.worker.base import Worker

__all__ = ["Arbiter", "BaseApplication", "Settings", "Worker", "__version__"]
__version__ = "0.1.0"

_PUBLIC = {
    "Arbiter": "unicorn_core.arbiter.arbiter",
    "BaseApplication": "unicorn_core.embed",
    "Settings": "unicorn_core.settings.registry",
    "Worker": "unicorn_core.worker.base",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
