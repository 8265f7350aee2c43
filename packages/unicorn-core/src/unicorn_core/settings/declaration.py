"""How a setting is declared: once, as data, by the package that uses it."""

from collections.abc import Callable
from enum import Enum
from typing import Any

from msgspec import Struct

from unicorn_core.settings.kinds import Kind


class TakesEffect(Enum):
    """When a changed value comes into force after a reload (HUP)."""

    LIVE = "at once"
    NEXT_GENERATION = "with the new workers"
    RESTART = "after a restart"


class EnvironmentDefault(Struct, frozen=True):
    """An environment variable that changes only the default, below any file (PORT, WEB_CONCURRENCY, ...)."""

    variable: str
    convert: Callable[[str], Any] = str


class Setting(Struct, frozen=True):
    """One setting.

    Attributes:
        name: as in configuration files.
        kind: what its value may be.
        default: before parsing.
        section: heading under which it stands in --help and in the reference.
        help: one paragraph; says the unit of a number and what 0 means.
        flags: of the command line; none for what only a file can hold.
        flag_sets: the value that a flag without argument stands for; None for a flag with argument.
        flag_alone: the value that a flag stands for when its argument is left out; None: it must have one.
        repeatable: the flag may be given several times, its values make a list.
        takes_effect: when a change comes into force.
        environment: a variable that changes the default.
        aliases: other names under which configurations have it.
    """

    name: str
    kind: Kind
    default: Any
    section: str
    help: str
    flags: tuple[str, ...] = ()
    flag_sets: Any = None
    flag_alone: Any = None
    repeatable: bool = False
    takes_effect: TakesEffect = TakesEffect.NEXT_GENERATION
    environment: EnvironmentDefault | None = None
    aliases: tuple[str, ...] = ()
