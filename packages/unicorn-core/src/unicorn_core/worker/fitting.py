"""The worker class that fits an application, where the settings name none.

The arbiter never imports the application, so it is a worker that finds out; it tells the arbiter, and becomes it.
"""

import inspect
from functools import partial
from typing import Any, NoReturn

from msgspec.structs import replace

from unicorn_core import plugins
from unicorn_core.errors import ApplicationError, PluginError
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
    if settings.origin("worker_class") != "default" or not _is_default(worker_class, context):
        return worker_class, context
    try:
        application = context.load_application()
    except ApplicationError as error:
        # Whoever boots is to meet it, and not a second import.
        return worker_class, replace(context, load_application=partial(_raise, error))
    context = replace(context, load_application=lambda: application)
    if not is_asynchronous(application):
        return worker_class, context
    try:
        fitting: type[Worker] = plugins.load(plugins.WORKERS, ASYNCHRONOUS)
    except PluginError as error:
        raise PluginError(f"{settings.wsgi_app or application!r} is an ASGI application: {error}") from None
    fitting.check(settings)
    context.channel.send(Became(ASYNCHRONOUS, "the application is an ASGI application"))
    return fitting, context


def is_asynchronous(application: Any) -> bool:
    """Calling it gives a coroutine, which only ASGI has a use for."""
    while isinstance(application, partial):
        application = application.func
    if inspect.isclass(application):
        return False
    call = getattr(application, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(call)


def _is_default(worker_class: type[Worker], context: Context) -> bool:
    """It is what serves by default, and not another kind of process that lives as workers do."""
    settings = context.settings
    try:
        default: type[Worker] = plugins.load(plugins.WORKERS, settings.worker_class)
    except PluginError:
        return False
    return default.chosen(settings) is worker_class


def _raise(error: ApplicationError) -> NoReturn:
    raise error
