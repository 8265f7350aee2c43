"""Kinds of settings: each turns a raw value (of a configuration file, the environment or a flag) into the final one.

`parse` raises ValueError with what would be allowed, so that the registry can name setting, value and origin around it.
"""

import grp
import inspect
import os
import pwd
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from unicorn_core.settings.callables import AnyCallable, Leading, accepted, resolve
from unicorn_core.settings.cpus import usable_cpus


class Kind(Protocol):
    """What a setting's value may be."""

    @property
    def metavar(self) -> str:
        """Stands for the value in help texts."""
        ...

    def parse(self, raw: object) -> object:
        """The value of the right type.

        Raises:
            ValueError: not allowed; the message completes "must be ...".
        """
        ...


class Integer(Struct, frozen=True):
    """A whole number within bounds."""

    minimum: int = 0
    maximum: int | None = None
    metavar: str = "N"

    def parse(self, raw: object) -> int:
        bounds = f"from {self.minimum}" + (f" to {self.maximum}" if self.maximum is not None else " upwards")
        allowed = f"a whole number {bounds}"
        if isinstance(raw, bool) or not isinstance(raw, int | str):
            raise ValueError(allowed)
        text = str(raw).strip()
        if not text.removeprefix("-").isdecimal() or not text.isascii():
            raise ValueError(allowed)
        value = int(text)
        if value < self.minimum or (self.maximum is not None and value > self.maximum):
            raise ValueError(allowed)
        return value


class Seconds(Struct, frozen=True):
    """A number of seconds, also with a fraction; None where `optional`."""

    optional: bool = False
    metavar: str = "SECONDS"

    def parse(self, raw: object) -> float | None:
        if raw is None and self.optional:
            return None
        try:
            if isinstance(raw, bool) or not isinstance(raw, int | float | str):
                raise ValueError
            value = float(raw)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise ValueError("a number of seconds, 0 or more")
        return value


class Workers(int):
    """How many workers to start with; as an integer the least, too.

    Attributes:
        maximum: up to how many the pool may grow; the number itself if its size is fixed.
    """

    maximum: int

    def __new__(cls, minimum: int, maximum: int | None = None) -> "Workers":
        made = super().__new__(cls, minimum)
        made.maximum = minimum if maximum is None else maximum
        return made

    def __eq__(self, other: object) -> bool:
        return int.__eq__(self, other) and (not isinstance(other, Workers) or self.maximum == other.maximum)

    __hash__ = int.__hash__

    def __repr__(self) -> str:
        return str(int(self)) if self.maximum == self else f"'{int(self)}..{self.maximum}'"


class WorkerCount(Struct, frozen=True):
    """A number of workers, `auto`, or MIN..MAX, one of which may be `auto` (kept on its side of the other)."""

    maximum: int
    metavar: str = "N|auto|MIN..MAX"

    def parse(self, raw: object) -> Workers:
        if isinstance(raw, Workers):
            return raw
        low, dots, high = raw.partition("..") if isinstance(raw, str) else (raw, "", "")
        try:
            minimum, maximum = self._number(low), self._number(high if dots else low)
            if _is_auto(low):
                minimum = min(minimum, maximum)
            elif _is_auto(high):
                maximum = max(minimum, maximum)
        except ValueError:
            minimum = maximum = 0
        if not 1 <= minimum <= maximum:
            raise ValueError(f"a whole number from 1 to {self.maximum}, auto, or a range such as 2..8")
        return Workers(minimum, maximum)

    def _number(self, raw: object) -> int:
        if _is_auto(raw):
            return min(self.maximum, usable_cpus())
        return Integer(1, self.maximum).parse(raw)


def _is_auto(raw: object) -> bool:
    return isinstance(raw, str) and raw.strip().lower() == "auto"


class Bytes(Struct, frozen=True):
    """A number of bytes, also with K, M or G behind it (powers of 1024)."""

    metavar: str = "BYTES"

    def parse(self, raw: object) -> int:
        factor = 1
        if isinstance(raw, str):
            text = re.sub(r"(?<=[KMG])i?B$|(?<=[0-9])B$", "", raw.strip(), flags=re.IGNORECASE)
            power = " KMG".find(text[-1:].upper()) if text else 0
            factor, raw = (1024**power, text[:-1]) if power > 0 else (1, text)
        try:
            return Integer().parse(raw) * factor
        except ValueError:
            raise ValueError("a number of bytes, or one with K, M or G such as 512M") from None


class Mask(Struct, frozen=True):
    """File mode bits: an integer, or text in base 10, 8 (0o22, 022) or 16 (0x12)."""

    metavar: str = "MODE"

    def parse(self, raw: object) -> int:
        allowed = "file mode bits from 0 to 0o777, such as 0o022"
        value = raw
        if isinstance(raw, str):
            text = raw.strip().lower()
            octal = text.startswith("0") and text.isdecimal()
            try:
                value = int(text, 8 if octal else 0)
            except ValueError:
                raise ValueError(allowed) from None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o777:
            raise ValueError(allowed)
        return value


class Text(Struct, frozen=True):
    """A string; None where `optional`."""

    optional: bool = True
    metavar: str = "TEXT"

    def parse(self, raw: object) -> str | None:
        if raw is None and self.optional:
            return None
        if not isinstance(raw, str):
            raise ValueError("a string")
        return raw.strip()


class Verbatim(Struct, frozen=True):
    """A string of which blanks at the ends count, such as a log format."""

    metavar: str = "TEXT"

    def parse(self, raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError("a string")
        return raw


class Switch(Struct, frozen=True):
    """True or false."""

    metavar: str = ""

    def parse(self, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.strip().lower() in ("true", "yes", "on", "1"):
            return True
        if isinstance(raw, str) and raw.strip().lower() in ("false", "no", "off", "0", ""):
            return False
        raise ValueError("true or false")


class Choice(Struct, frozen=True):
    """One of a few words; `aliases` are accepted as further spellings, also of booleans and numbers ("true", "1")."""

    words: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()

    @property
    def metavar(self) -> str:
        return "|".join(self.words)

    def parse(self, raw: object) -> str:
        word = str(raw).strip().lower() if isinstance(raw, str | int) else ""
        word = dict(self.aliases).get(word, word)
        if word not in self.words:
            raise ValueError("one of " + ", ".join(self.words))
        return word


class Texts(Struct, frozen=True):
    """A list of strings, also given as one string with commas between them."""

    metavar: str = "TEXT"
    upper: bool = False

    def parse(self, raw: object) -> tuple[str, ...]:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError("a string or a list of strings")
        result: list[str] = []
        for part in parts:
            if not isinstance(part, str):
                raise ValueError("a string or a list of strings")
            # A flag that is given several times may hold a list each time.
            result += [piece.strip() for piece in part.split(",") if piece.strip()]
        return tuple(word.upper() for word in result) if self.upper else tuple(result)


class Assignments(Struct, frozen=True):
    """NAME=VALUE strings (a list), kept as they are: a value may hold commas."""

    metavar: str = "NAME=VALUE"

    def parse(self, raw: object) -> tuple[str, ...]:
        parts = [raw] if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError("a list of NAME=VALUE strings")
        for part in parts:
            if not isinstance(part, str) or "=" not in part or part.startswith("="):
                raise ValueError("a list of NAME=VALUE strings")
        return tuple(parts)


class Table(Struct, frozen=True):
    """A mapping from string to string (configuration files only)."""

    metavar: str = "TABLE"

    def parse(self, raw: object) -> dict[str, str]:
        if not isinstance(raw, Mapping) or not all(isinstance(x, str) for pair in raw.items() for x in pair):
            raise ValueError("a dictionary of strings")
        return dict(raw)


class Folder(Struct, frozen=True):
    """An existing folder; the result is its absolute path."""

    metavar: str = "FOLDER"

    def parse(self, raw: object) -> str:
        if not isinstance(raw, str) or not os.path.isdir(raw):
            raise ValueError("an existing folder")
        return os.path.abspath(raw)


class File(Struct, frozen=True):
    """The path of a file, from the folder in which the server was started; the result is absolute. None for no file."""

    metavar: str = "FILE"

    def parse(self, raw: object) -> str | None:
        if raw is None or raw == "":
            return None
        if not isinstance(raw, str):
            raise ValueError("the path of a file")
        return os.path.abspath(raw)


class Ignored(Struct, frozen=True):
    """Anything: a setting that is accepted because configurations have it, and that nobody reads."""

    metavar: str = "VALUE"

    def parse(self, raw: object) -> object:
        return raw


class UserId(Struct, frozen=True):
    """A user by name or number; the result is the number."""

    metavar: str = "USER"

    def parse(self, raw: object) -> int:
        return _identity(raw, lambda name: pwd.getpwnam(name).pw_uid, os.geteuid, "a user's name or number")


class GroupId(Struct, frozen=True):
    """A group by name or number; the result is the number."""

    metavar: str = "GROUP"

    def parse(self, raw: object) -> int:
        return _identity(raw, lambda name: grp.getgrnam(name).gr_gid, os.getegid, "a group's name or number")


def _identity(raw: object, look_up: Callable[[str], int], current: Callable[[], int], allowed: str) -> int:
    if raw is None:
        return current()
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
        return raw
    if isinstance(raw, str) and raw.isdecimal():
        return int(raw)
    try:
        return look_up(raw if isinstance(raw, str) else "")
    except KeyError:
        raise ValueError(f"{allowed} known on this machine") from None


class ClassOrName(Struct, frozen=True):
    """A plug-in's name, `module:Class`, or a class object."""

    metavar: str = "NAME"

    def parse(self, raw: object) -> object:
        if isinstance(raw, type) or (isinstance(raw, str) and raw.strip()):
            return raw.strip() if isinstance(raw, str) else raw
        raise ValueError("a name or a class")


class Hook(Struct, frozen=True):
    """A function that the server calls, or `module:function` (also `module.function`) to import it; None for no hook.

    Attributes:
        arguments: with which it is called, in order.
        least: it may take only so many of the first ones; by default it must take all. The result takes all of them.
    """

    arguments: tuple[str, ...]
    least: int | None = None
    metavar: str = "HOOK"

    def parse(self, raw: object) -> AnyCallable | None:
        if raw is None:
            return None
        function = resolve(raw) if isinstance(raw, str) else raw
        if not callable(function):
            raise ValueError(f"a function{self._signature}, or module:function to import one")
        if inspect.iscoroutinefunction(function):
            raise ValueError(f"a plain function{self._signature}: nothing awaits one that is async")
        most = len(self.arguments)
        count = accepted(function, most if self.least is None else self.least, most)
        if count is None:
            raise ValueError(f"a function that takes {self._signature}; this one takes {inspect.signature(function)}")
        return function if count == most else Leading(function, count)

    @property
    def _signature(self) -> str:
        if self.least is None:
            return f"({', '.join(self.arguments)})"
        return " or ".join(
            f"({', '.join(self.arguments[:count])})" for count in range(self.least, len(self.arguments) + 1)
        )
