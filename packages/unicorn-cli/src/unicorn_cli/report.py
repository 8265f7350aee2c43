"""What the command prints for a person: help, the settings in force, errors."""

import io
import sys
from typing import TYPE_CHECKING

import click

from unicorn_core.errors import UnicornError
from unicorn_core.settings.registry import Settings

if TYPE_CHECKING:
    from unicorn_cli.flags import Command

USAGE = "unicorn [OPTIONS] APP"
EPILOG = (
    "APP is module:attribute, module:factory('literal', key=True), or a module whose attribute application or app is "
    "meant. Settings come, later ones winning, from defaults, ./unicorn.conf.py (or -c), UNICORN_<SETTING> "
    "variables, UNICORN_CMD_ARGS and the command line. Long options may be shortened."
)


def help_text(command: "Command", ctx: click.Context) -> str:
    """The text of --help, with the options grouped by section."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    out = io.StringIO()
    width = min(Console().width, 110) if terminal else 100
    console = Console(file=out, width=width, force_terminal=terminal, highlight=False)
    console.print(Text(f"Usage: {USAGE}\n", "bold"))
    console.print(Text(f"{command.help}\n"))
    for section, options in command.sections().items():
        console.print(Text(f"{section}:", "bold"))
        table = Table.grid(padding=(0, 2))
        table.add_column(width=40)
        table.add_column()
        for option in options:
            names = ", ".join(option.opts)
            metavar = f" {option.metavar}" if option.metavar else ""
            table.add_row(Text(f"  {names}{metavar}", "cyan"), Text(_help_of(command, option)))
        console.print(table)
        console.print()
    console.print(Text(EPILOG))
    return out.getvalue()


def _help_of(command: "Command", option: click.Option) -> str:
    setting = command.registry.settings.get(option.name or "")
    if setting is None or setting.flag_sets is not None or setting.default in (None, (), ""):
        return option.help or ""
    default = setting.default
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{option.help} [{shown}]"


def print_settings(settings: Settings) -> None:
    """Every setting, its value, and where that came from."""
    width = max(len(name) for name in settings)
    for name in sorted(settings):
        value = getattr(settings, name)
        shown = list(value) if isinstance(value, tuple) else value
        click.echo(f"{name:{width}} = {shown!r}  # {settings.origin(name)}")


def print_error(error: UnicornError) -> None:
    """The error on standard error."""
    click.echo(error.report(), err=True, nl=False)
