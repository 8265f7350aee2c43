"""What the workers of one generation run with."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct, field

from unicorn_core import application, plugins
from unicorn_core.errors import SettingError
from unicorn_core.listen.listener import Listener
from unicorn_core.settings.registry import Settings
from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.rollout import Plan, Strategy
from unicorn_core.worker.base import Worker


class Generation(Struct, frozen=True):
    """The settings as they were when the generation began, and what follows from them.

    Attributes:
        load: gives the application; None: the one that the setting wsgi_app names.
        listeners: where it listens; filled in once they are open.
    """

    settings: Settings
    worker_class: type[Worker]
    load: Callable[[], Any] | None = None
    listeners: list[Listener] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Settings, load: Callable[[], Any] | None = None) -> "Generation":
        """Find the worker class and let it check the settings.

        Args:
            load: gives the application, in place of the setting wsgi_app.

        Raises:
            PluginError: the worker class is not installed.
            SettingError: it is no worker class, or it refuses the settings.
        """
        worker_class = _find(settings.worker_class)
        if not (isinstance(worker_class, type) and issubclass(worker_class, Worker)):
            raise SettingError(
                f"setting worker_class = {settings.worker_class!r} ({settings.origin('worker_class')}): "
                f"must be a subclass of {Worker.__module__}.{Worker.__name__}"
            )
        worker_class = worker_class.chosen(settings)
        worker_class.check(settings)
        if settings.reload:
            # Imported here, as in the worker: a server in production pays nothing for it. Here too, so that the
            # watcher has its thread from before a worker class patches the standard library.
            from unicorn_core.develop import engines, reloading  # noqa: F401

            engines.check(settings.reload_engine)
        if settings.reload_canary and worker_class.probe is Worker.probe:
            raise SettingError(
                f"setting reload_canary ({settings.origin('reload_canary')}): the worker class "
                f"{settings.worker_class!r} cannot answer a probe"
            )
        return cls(settings, worker_class, load)

    @property
    def load_application(self) -> Callable[[], Any]:
        """Gives the application, in the process that imports it."""
        return self.load or partial(application.load, self.settings.wsgi_app)

    @property
    def preloads(self) -> bool:
        """Its workers come from a mold. With `reload` they do not: each must see for itself what it can import."""
        return bool(self.settings.preload_app and not self.settings.reload)

    @property
    def name(self) -> str:
        """The worker class by the name under which it is installed, or as the settings name it."""
        worker_class, wanted = self.worker_class, self.settings.worker_class
        path = f"{worker_class.__module__}:{worker_class.__qualname__}"
        names = [name for name, point in plugins.find(plugins.WORKERS).items() if point.value == path]
        return names[0] if names else wanted if isinstance(wanted, str) else worker_class.__name__

    @property
    def limits(self) -> Limits:
        settings = self.settings
        return Limits(
            boot=settings.worker_boot_timeout,
            silence=settings.timeout,
            graceful=settings.graceful_timeout,
            lame=settings.drain_delay,
            lifetime=settings.worker_max_lifetime,
            lifetime_jitter=settings.worker_max_lifetime_jitter,
            memory=settings.worker_max_memory,
        )

    @property
    def plan(self) -> Plan:
        """How it takes the place of the one before it."""
        settings = self.settings
        strategy = Strategy(settings.reload_strategy)
        return Plan(int(settings.workers), self.limits, strategy, canary=bool(settings.reload_canary))


def _find(wanted: object) -> object:
    if not isinstance(wanted, str):
        return wanted
    module, colon, name = wanted.partition(":")
    if not colon:
        return plugins.load(plugins.WORKERS, wanted)
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise SettingError(f"setting worker_class = {wanted!r}: {type(error).__name__}: {error}") from error
