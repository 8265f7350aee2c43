"""What the workers of one generation run with."""

import importlib
from dataclasses import dataclass

from unicorn_core import plugins
from unicorn_core.errors import SettingError
from unicorn_core.settings.registry import Settings
from unicorn_core.supervise.limits import Limits
from unicorn_core.worker.base import Worker


@dataclass(frozen=True)
class Generation:
    """The settings as they were when the generation began, and what follows from them."""

    settings: Settings
    worker_class: type[Worker]

    @classmethod
    def of(cls, settings: Settings) -> "Generation":
        """Find the worker class and let it check the settings.

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
        worker_class.check(settings)
        return cls(settings, worker_class)

    @property
    def name(self) -> str:
        """The worker class as the settings name it."""
        wanted = self.settings.worker_class
        return wanted if isinstance(wanted, str) else self.worker_class.__name__

    @property
    def limits(self) -> Limits:
        settings = self.settings
        return Limits(boot=settings.worker_boot_timeout, silence=settings.timeout, graceful=settings.graceful_timeout)


def _find(wanted: object) -> object:
    if not isinstance(wanted, str):
        return wanted
    module, colon, name = wanted.partition(":")
    if not colon:
        return plugins.load(plugins.WORKERS, wanted)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"setting worker_class = {wanted!r}: {error}") from error
