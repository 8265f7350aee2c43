"""The command `unicorn`: settings from everywhere, then the arbiter."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import click

import unicorn_core
from unicorn_cli.flags import Command, option, source
from unicorn_cli.report import print_error, print_settings
from unicorn_core import application
from unicorn_core.arbiter.arbiter import Arbiter
from unicorn_core.arbiter.generation import Generation
from unicorn_core.errors import ExitCode, UnicornError
from unicorn_core.listen.listener import parse_all
from unicorn_core.settings import sources
from unicorn_core.settings.registry import Registry, Settings, Source
from unicorn_core.worker.environment import set_up_for_import
from unicorn_core.worker.fitting import fitting_class

HELP = "Serve the Python application APP with a pool of worker processes."


def run(args: list[str] | None, prog_name: str) -> NoReturn:
    """Run the command with these arguments (None: the process's); exits with one of unicorn_core.errors.ExitCode."""
    try:
        registry = Registry.discover()
        command = build_command(registry)
        code = command.main(args, prog_name=prog_name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(ExitCode.STOPPED)
    except UnicornError as error:
        print_error(error)
        sys.exit(error.exit_code)
    sys.exit(code or 0)


def build_command(registry: Registry) -> Command:
    """The click command with an option for every setting that has a flag."""
    options = [made for setting in registry.settings.values() if (made := option(setting))]

    def callback(app: str | None, **given: Any) -> int:
        loader = SettingsLoader(registry, command, app, given, os.environ.copy())
        return serve(loader, registry)

    command = Command(
        "unicorn",
        registry=registry,
        callback=callback,
        help=HELP,
        params=[
            click.Argument(["app"], required=False),
            *options,
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_version,
                help="Print the version.",
            ),
        ],
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return command


class SettingsLoader:
    """Merges all sources; called again, it reads the configuration file anew.

    What the process was started with (arguments, environment, working folder) is kept as it was then.
    """

    def __init__(
        self,
        registry: Registry,
        command: Command,
        app: str | None,
        given: dict[str, Any],
        environ: Mapping[str, str],
    ) -> None:
        self.registry = registry
        self.environ = environ
        self.folder = os.getcwd()
        self.given = source(registry, "command line", given)
        variable, words = sources.environment_arguments(environ)
        self.variable_app, self.variable_given = _parse(command, variable, words)
        self.arguments = source(registry, f"environment {variable}", self.variable_given)
        self.app = app or self.variable_app
        self.config = self._config()

    def __call__(self) -> Settings:
        """The settings as they are now.

        Raises:
            UnicornError: a source cannot be read, or a value is not allowed.
        """
        # The arbiter has changed the folder since, perhaps; relative paths mean what they meant at the start.
        with contextlib.chdir(self.folder):
            return self._load()

    def _load(self) -> Settings:
        layers = [*self.registry.default_source(self.environ)]
        if self.config:
            layers.append(sources.config_file(self.registry, self.config))
        layers += [sources.variables(self.registry, self.environ), self.arguments, self.given]
        if self.app:
            layers.append(Source("command line", {"wsgi_app": self.app}, {"wsgi_app": "command line APP"}))
        if self.config:
            layers.append(Source("command line", {"config": self.config}))
        return self.registry.resolve(layers)

    def _config(self) -> str | None:
        """The configuration file, as a path that stays right after a change of the working folder."""
        variable = self.environ.get("UNICORN_CONFIG")
        wanted = self.given.values.get("config") or self.arguments.values.get("config") or variable
        reference = str(wanted) if wanted else sources.default_config_file()
        if reference is None or reference.startswith("python:"):
            return reference
        return os.path.abspath(reference.removeprefix("file:"))


def serve(load_settings: Callable[[], Settings], registry: Registry) -> int:
    """Do what the settings say: print or check them, or run the arbiter."""
    settings = load_settings()
    if settings.print_config:
        print_settings(settings)
    if settings.wsgi_app is None:
        raise click.UsageError("No application: name it as module:attribute, or by the setting wsgi_app.")
    if settings.print_config or settings.check_config:
        return check(settings, settings.wsgi_app)
    arbiter = Arbiter(settings, load_settings)
    # What was made so far lives as long as the process: neither here nor in a worker, which inherits it, must the
    # collector look at it, and the pages that it would write to stay shared.
    gc.freeze()
    gc.enable()
    return arbiter.run()


def check(settings: Settings, reference: str) -> int:
    """Check what can be checked without serving: worker class, settings, and that application and task apps import."""
    generation = Generation.of(settings)
    parse_all(settings.bind, settings.origin("bind"))
    os.chdir(settings.chdir)
    set_up_for_import(settings)
    found = application.load(reference)
    fitting_class(generation.worker_class, settings, found).check_application(found, settings)
    if settings.dispatch_apps:
        from unicorn_core.dispatch.app import import_class, traits  # few have task apps

        for task_app in settings.dispatch_apps:
            traits(import_class(task_app))
    return ExitCode.STOPPED


def _version(ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given and not ctx.resilient_parsing:
        click.echo(f"unicorn {unicorn_core.__version__}")
        ctx.exit()


def _parse(command: Command, variable: str, words: list[str]) -> tuple[str | None, dict[str, Any]]:
    """APP and options from the words of a variable; a mistake in them is reported with the variable's name."""
    if not words:
        return None, {}
    try:
        given = command.make_context(variable, list(words), resilient_parsing=False).params
    except click.ClickException as error:
        raise click.UsageError(f"environment {variable}: {error.format_message()}") from None
    return given.pop("app", None), given
