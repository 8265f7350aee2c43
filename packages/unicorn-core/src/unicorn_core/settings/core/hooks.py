"""Functions of the user's that the server calls on the way (docs/hooks.md says what their arguments hold).

A configuration file is run anew at each reload, so that its functions are others every time: a change takes effect with
the new workers, and in the arbiter at the same moment.
"""

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Hook

_SECTION = "Server hooks"


def _hook(name: str, arguments: str, help: str, least: int | None = None) -> Setting:
    names = tuple(arguments.split(", "))
    return Setting(name, Hook(names, least), None, _SECTION, f"{help} Called as {name}({arguments}).")


SETTINGS = (
    _hook("on_starting", "server", "In the arbiter, before it opens the listeners."),
    _hook("when_ready", "server", "In the arbiter, when the listeners are open and before the first worker is forked."),
    _hook("on_reload", "server", "In the arbiter, at a reload (SIGHUP), when the new settings have been read."),
    _hook(
        "nworkers_changed",
        "server, new_value, old_value",
        "In the arbiter, when the number of workers has been set or changed; the first time old_value is None.",
    ),
    _hook("pre_fork", "server, worker", "In the arbiter, before a worker is forked."),
    _hook("post_fork", "server, worker", "In the worker, after it was forked and before it imports the application."),
    _hook("post_worker_init", "worker", "In the worker, when it has imported the application."),
    _hook("pre_request", "worker, req", "In the worker, before each request. If it raises, the answer is a 500."),
    _hook(
        "post_request",
        "worker, req, environ, resp",
        "In the worker, after each request, also a failed one. It may take only the first two or three arguments.",
        least=2,
    ),
    _hook("worker_int", "worker", "In the worker, when SIGINT or SIGQUIT ends it."),
    _hook("worker_abort", "worker", "In the worker, when SIGABRT ends it, mostly because it was silent for `timeout`."),
    _hook("worker_exit", "server, worker", "In the worker, before its process ends."),
    _hook("child_exit", "server, worker", "In the arbiter, when a worker's process has ended, however it did."),
    _hook("pre_exec", "server", "In the arbiter, before it starts a new one beside itself (SIGUSR2)."),
    _hook("on_exit", "server", "In the arbiter, before it ends."),
    _hook(
        "ssl_context",
        "config, default_ssl_context_factory",
        "In the arbiter, at start and at a reload, if there is a certfile: gives the ssl.SSLContext for the workers.",
    ),
)
