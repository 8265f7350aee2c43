"""The worker class that fits an application, where the settings name none.

The arbiter never imports the application, so it is a worker that finds out; it tells the arbiter, and becomes it.
"""

import inspect
from functools import partial
from typing import Any, NoReturn

from msgspec.structs import replace

from unicorn_core import plugins
from unicorn_core.errors import ApplicationError, PluginError
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.messages import Became

ASYNCHRONOUS = "asgi"
"""The worker class for an application that is a coroutine function, or whose instances' calls are."""


def fit(worker_class: type[Worker], context: Context) -> tuple[type[Worker], Context]:
    """The class to become, and a context that gives the application as it was loaded for finding out.

    A class that the settings name is never overridden.

    Raises:
        PluginError: the class that fits is not installed.
        SettingError: it refuses the settings.
    """
    settings = context.settings
    if not _may_choose(worker_class, settings):
        return worker_class, context
    try:
        application = context.load_application()
    except ApplicationError as error:
        # Whoever boots is to meet it, and not a second import.
        return worker_class, replace(context, load_application=partial(_raise, error))
    context = replace(context, load_application=lambda: application)
    fitting = fitting_class(worker_class, settings, application)
    if fitting is not worker_class:
        context.channel.send(Became(ASYNCHRONOUS, "the application is an ASGI application"))
    return fitting, context


def fitting_class(worker_class: type[Worker], settings: Settings, application: Any) -> type[Worker]:
    """The class to serve this application with: `worker_class`, unless the settings name none and another one fits.

    Raises:
        PluginError: the class that fits is not installed.
        SettingError: it refuses the settings.
    """
    if not _may_choose(worker_class, settings) or not is_asynchronous(application):
        return worker_class
    try:
        fitting: type[Worker] = plugins.load(plugins.WORKERS, ASYNCHRONOUS)
    except PluginError as error:
        raise PluginError(f"{settings.wsgi_app or application!r} is an ASGI application: {error}") from None
    fitting.check(settings)
    return fitting


def is_asynchronous(application: Any) -> bool:
    """Calling it gives a coroutine, which only ASGI has a use for."""
    while isinstance(application, partial):
        application = application.func
    if inspect.isclass(application):
        return False
    call = getattr(application, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(call)


def _may_choose(worker_class: type[Worker], settings: Settings) -> bool:
    """It is what serves by default, and not another kind of process that lives as workers do."""
    if settings.origin("worker_class") != "default":
        return False
    try:
        default: type[Worker] = plugins.load(plugins.WORKERS, settings.worker_class)
    except PluginError:
        return False
    return default.chosen(settings) is worker_class


def _raise(error: ApplicationError) -> NoReturn:
    raise error
