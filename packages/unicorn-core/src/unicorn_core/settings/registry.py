"""The registry of declared settings, and the merge of several sources into one `Settings` object."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from unicorn_core import plugins
from unicorn_core.errors import SettingError
from unicorn_core.settings.declaration import Setting, TakesEffect


class Source(Struct, frozen=True):
    """Raw values from one place; `origins` names the place of a value more exactly than `name`."""

    name: str
    values: Mapping[str, object]
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def origin(self, setting: str) -> str:
        return self.origins.get(setting, self.name)


class Settings:
    """The merged values, read as attributes; never changed once made.

    Attributes:
        warnings: what was noticed in the sources, for the log.
        declared: the declarations by name, of those that have one.
    """

    def __init__(
        self,
        values: dict[str, Any],
        origins: dict[str, str],
        warnings: tuple[str, ...] = (),
        declared: Mapping[str, Setting] | None = None,
    ) -> None:
        self._values = values
        self._origins = origins
        self.warnings = warnings
        self.declared = declared or {}

    @classmethod
    def of(cls, **values: object) -> "Settings":
        """These values, and the defaults of all installed packages for the rest.

        Raises:
            SettingError: an unknown name, or a value that is not allowed.
        """
        registry = Registry.discover()
        return registry.resolve([*registry.default_source({}), Source("program", values)])

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no setting is named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def origin(self, name: str) -> str:
        """Where the value came from, as words: "default", "command line --workers", ..."""
        return self._origins[name]

    def held_back(self, running: "Settings") -> dict[str, Any]:
        """Those that differ from the running ones although only a restart changes them, with their running values."""
        held: dict[str, Any] = {}
        for name, declared in self.declared.items():
            if declared.takes_effect is TakesEffect.RESTART and getattr(self, name) != getattr(running, name):
                held[name] = getattr(running, name)
        return held

    def replaced(self, **changes: Any) -> "Settings":
        """A copy with some final values changed."""
        origins = self._origins | dict.fromkeys(changes, "set by the program")
        return Settings(self._values | changes, origins, self.warnings, self.declared)


class Registry:
    """All declared settings of the installed packages.

    Attributes:
        settings: by name.
        packages: which package declares a setting.
        names: of what a setting may be called, aliases included, its name.
    """

    def __init__(self, declared: Iterable[tuple[str, Sequence[Setting]]]) -> None:
        self.settings: dict[str, Setting] = {}
        self.packages: dict[str, str] = {}
        self.names: dict[str, str] = {}
        for package, settings in declared:
            for setting in settings:
                if setting.name in self.settings:
                    first = self.packages[setting.name]
                    raise SettingError(f"setting {setting.name!r} is declared by both {first} and {package}")
                self.settings[setting.name] = setting
                self.names.update(dict.fromkeys((setting.name, *setting.aliases), setting.name))
                self.packages[setting.name] = package

    def by_any_name(self) -> dict[str, Setting]:
        """All settings, also under their aliases."""
        return {written: self.settings[name] for written, name in self.names.items()}

    @classmethod
    def discover(cls) -> "Registry":
        """The settings of every installed package (entry points of the group `unicorn.settings`)."""
        names = sorted(plugins.find(plugins.SETTINGS), key=lambda name: (name != "core", name))
        return cls((name, plugins.load(plugins.SETTINGS, name)) for name in names)

    def default_source(self, environ: Mapping[str, str]) -> tuple[Source, Source]:
        """The declared defaults, and above them those that variables such as PORT change."""
        declared = {setting.name: setting.default for setting in self.settings.values()}
        changed, origins = {}, {}
        for setting in self.settings.values():
            variable = setting.environment
            if variable and environ.get(variable.variable, "").strip():
                changed[setting.name] = variable.convert(environ[variable.variable].strip())
                origins[setting.name] = f"environment {variable.variable}"
        return Source("default", declared), Source("environment", changed, origins)

    def resolve(self, sources: Iterable[Source]) -> Settings:
        """Merge sources, later ones winning, and check every value that is in force.

        Raises:
            SettingError: an unknown name, or a value that is not allowed.
        """
        winners: dict[str, tuple[object, str]] = {}
        warnings: tuple[str, ...] = ()
        for source in sources:
            warnings += source.warnings
            for written, raw in source.values.items():
                name = self.names.get(written)
                if name is None:
                    raise SettingError(
                        f"unknown setting {written!r} ({source.origin(written)}){self.suggestion(written)}"
                    )
                winners[name] = raw, source.origin(written)
        values = {name: self.parse(name, raw, origin) for name, (raw, origin) in winners.items()}
        return Settings(values, {name: origin for name, (_, origin) in winners.items()}, warnings, self.settings)

    def parse(self, name: str, raw: object, origin: str) -> Any:
        """The final value of one setting; SettingError names setting, value, origin and what is allowed."""
        try:
            return self.settings[name].kind.parse(raw)
        except ValueError as error:
            raise SettingError(f"setting {name} = {raw!r} ({origin}): must be {error}") from None

    def suggestion(self, name: str) -> str:
        """ " - did you mean 'x'?" where a setting of a similar name exists, else an empty string."""
        import difflib  # a mistake was made: only then it is worth its import

        close = difflib.get_close_matches(name, self.settings, n=1, cutoff=0.75)
        return f"; did you mean {close[0]!r}?" if close else ""
