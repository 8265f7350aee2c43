"""Process titles, as `ps` and `top` show them, where the package setproctitle is installed."""

import importlib

from unicorn_core.settings.registry import Settings


def set_title(role: str, settings: Settings) -> None:
    """Name this process: `unicorn: master [app]`, `unicorn: worker 3 [app]`."""
    try:
        setproctitle = importlib.import_module("setproctitle")
    except ImportError:
        return
    setproctitle.setproctitle(f"unicorn: {role} [{proc_name(settings)}]")


def proc_name(settings: Settings) -> str:
    """The name in the titles: proc_name, else the application, else default_proc_name."""
    return str(settings.proc_name or settings.wsgi_app or settings.default_proc_name)
