"""Running the server from a program of one's own, in the way that gunicorn's BaseApplication has made common.

class Site(BaseApplication):
    def load_config(self):
        self.set("bind", "127.0.0.1:8080")
        self.set("workers", 4)

    def load(self):
        return make_application()

Site().run()
"""

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from unicorn_core.arbiter.arbiter import Arbiter
from unicorn_core.errors import SettingError, UnicornError
from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.registry import Registry, Settings, Source


class Config:
    """What `load_config` fills.

    Attributes:
        settings: the declarations of all settings there are, by name and alias.
        values: what was set.
    """

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self.settings = settings
        self.values: dict[str, object] = {}

    def set(self, name: str, value: object) -> None:
        """Set one setting.

        Raises:
            SettingError: there is none of this name.
        """
        if name not in self.settings:
            raise SettingError(f"unknown setting {name!r} (set by the program)")
        self.values[self.settings[name].name] = value


class BaseApplication:
    """Subclass it, and define `load` and perhaps `load_config`. See the module.

    Attributes:
        cfg: where `load_config` puts the settings.
    """

    def __init__(self) -> None:
        self._registry = Registry.discover()
        self.cfg = Config(self._registry.by_any_name())

    def set(self, name: str, value: object) -> None:
        """Set one setting; for `load_config`."""
        self.cfg.set(name, value)

    def load_config(self) -> None:
        """Set what differs from the defaults. Called at the start and at each reload (SIGHUP)."""

    def load(self) -> Any:
        """Give the application. Called in each worker; with preload_app in the process that they are forked from."""
        raise NotImplementedError(f"{type(self).__name__} does not implement load()")

    def run(self) -> NoReturn:
        """Serve until asked to stop; ends the process with one of unicorn_core.errors.ExitCode."""
        try:
            code = Arbiter(self._settings(), self._settings, self.load).run()
        except UnicornError as error:
            sys.stderr.write(error.report())
            code = error.exit_code
        sys.exit(code)

    def _settings(self) -> Settings:
        self.cfg = Config(self._registry.by_any_name())
        # The name in titles and logs, where an application has one.
        self.cfg.set("wsgi_app", f"{type(self).__module__}:{type(self).__qualname__}")
        self.load_config()
        return self._registry.resolve([*self._registry.default_source({}), Source("program", self.cfg.values)])
