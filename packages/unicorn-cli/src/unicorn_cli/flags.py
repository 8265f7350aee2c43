"""The command's flags, generated from the registry of settings."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import click

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.registry import Registry, Source


class Command(click.Command):
    """A click command whose long options may be shortened while that is unambiguous, and whose help is grouped."""

    def __init__(self, *args: Any, registry: Registry, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry = registry

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._lengthen(args))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from unicorn_cli.report import help_text

        formatter.write(help_text(self, ctx))

    def sections(self) -> dict[str, list[click.Option]]:
        """The options by the section of their setting, in the order of declaration."""
        by_section: dict[str, list[click.Option]] = defaultdict(list)
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                setting = self.registry.settings.get(parameter.name or "")
                by_section[setting.section if setting else "Command"].append(parameter)
        return by_section

    def _lengthen(self, args: list[str]) -> list[str]:
        options = {name: option for option in self.params if isinstance(option, click.Option) for name in option.opts}
        result: list[str] = []
        words = deque(args)
        while words:
            word = words.popleft()
            if word == "--":
                return [*result, word, *words]
            name, equals, value = word.partition("=")
            if name.startswith("--"):
                name = self._full_name(name, [*options, "--help"])
            elif word in options:
                # click first takes a short option for a long one and collects similar names, for a millisecond.
                name, equals, value = options[word].opts[-1], "", ""
            result.append(name + equals + value)
            if name in options and not options[name].is_flag and not equals:
                alone = self._alone(options[name], words)
                if alone is not None:
                    result[-1] = f"{name}={alone}"
                elif words:
                    result.append(words.popleft())  # its value, whatever it looks like
        return result

    def _alone(self, option: click.Option, words: Sequence[str]) -> str | None:
        """The value of an option that can do without an argument, if the first of `words` is none for it."""
        setting = self.registry.settings.get(option.name or "")
        if setting is None or setting.flag_alone is None:
            return None
        try:
            setting.kind.parse(words[0] if words else None)
        except ValueError:
            return str(setting.flag_alone)
        return None

    @staticmethod
    def _full_name(name: str, known: list[str]) -> str:
        if name in known or name == "--":
            return name
        fitting = [full for full in known if full.startswith(name)]
        if len(fitting) > 1:
            raise click.UsageError(f"Option {name} is ambiguous: it could be {', '.join(sorted(fitting))}.")
        return fitting[0] if fitting else name


def option(setting: Setting) -> click.Option | None:
    """The option of a setting; None for one that only a file can hold."""
    if not setting.flags:
        return None
    names = [*setting.flags, setting.name]
    if setting.flag_sets is not None:
        return click.Option(names, flag_value=setting.flag_sets, default=None, help=setting.help)
    return click.Option(
        names, multiple=setting.repeatable, default=None, metavar=setting.kind.metavar, help=setting.help
    )


def source(registry: Registry, name: str, given: dict[str, Any]) -> Source:
    """What was given on a command line (or in a variable that holds one) as a source of settings."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for key, value in given.items():
        if key in registry.settings and value is not None and value != ():
            values[key] = list(value) if isinstance(value, tuple) else value
            flags = registry.settings[key].flags
            origins[key] = f"{name} {flags[-1]}" if flags else name
    return Source(name, values, origins)
