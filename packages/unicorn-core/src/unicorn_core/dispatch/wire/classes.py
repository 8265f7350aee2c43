"""Dataclasses and Enums of an application, by name.

Only what this process has imported already is found: a message can never make it import something. For the same reason
only what stands in a module is looked at, since its `__getattr__` may import. What is found must really be a dataclass
or an Enum. Instances are made from exactly the fields that the class has, without `__init__` and `__post_init__`.
"""

import dataclasses
import sys
from collections.abc import Mapping
from enum import Enum, Flag
from types import ModuleType
from typing import Any

from unicorn_core.dispatch.errors import NotSerializable, ProtocolError


def name_of(kind: type) -> tuple[str, str] | None:
    """Module and qualified name under which other processes may find a class; None if it cannot be found so."""
    name = kind.__module__, kind.__qualname__
    return name if _find(*name) is kind else None


def is_dataclass(kind: type) -> bool:
    """Whether an instance can be made from its fields alone."""
    return dataclasses.is_dataclass(kind) and kind.__new__ is object.__new__


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass. Raises AttributeError if one is not set."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def dataclass_from(module: str, name: str, values: Mapping[str, Any]) -> Any:
    """An instance as it was."""
    kind = _find(module, name)
    if kind is None or not is_dataclass(kind):
        raise _missing("dataclass", module, name)
    if values.keys() != {field.name for field in dataclasses.fields(kind)}:
        raise NotSerializable(
            f"the dataclass {module}.{name} has other fields in this process; is it of another version?"
        )
    instance: Any = object.__new__(kind)
    for field, value in values.items():
        object.__setattr__(instance, field, value)  # also if it is frozen
    return instance


def member_of(value: Enum) -> str | int:
    """What tells a member of an Enum from the others: its name, or the value of flags."""
    return value.value if isinstance(value, Flag) else value.name


def member_from(module: str, name: str, member: str | int) -> Enum:
    """The member as it was."""
    kind = _find(module, name)
    if kind is None or not issubclass(kind, Enum):
        raise _missing("Enum", module, name)
    if issubclass(kind, Flag):
        return kind(member)
    if not isinstance(member, str) or member not in kind.__members__:
        raise NotSerializable(f"the Enum {module}.{name} has no member {member} in this process")
    return kind.__members__[member]


def _find(module: str, name: str) -> type | None:
    found: object = sys.modules.get(module)
    for part in name.split("."):
        if not isinstance(found, ModuleType | type):
            return None
        found = vars(found).get(part)
    return found if isinstance(found, type) else None


def _missing(what: str, module: str, name: str) -> ProtocolError:
    return NotSerializable(f"{module}.{name} is no {what} that this process has imported: import its module here first")
