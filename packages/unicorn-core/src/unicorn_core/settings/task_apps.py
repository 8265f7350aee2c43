"""The kind of the setting dispatch_apps."""

import re

from msgspec import Struct

_REFERENCE = re.compile(r"([\w.]+:[\w.]+)(?::([1-9][0-9]*))?")


class TaskApp(Struct, frozen=True):
    """A task app as a setting names it.

    Attributes:
        path: module:Class.
        workers: how many task workers load it; None: as many as its class says.
        target: the class itself, where a program gave that.
    """

    path: str
    workers: int | None = None
    target: type | None = None

    def __repr__(self) -> str:
        return repr(self.path if self.workers is None else f"{self.path}:{self.workers}")


class TaskApps(Struct, frozen=True):
    """A list of module:Class or module:Class:N; from a program also classes. None of them twice."""

    metavar: str = "MODULE:CLASS[:N]"

    def parse(self, raw: object) -> tuple[TaskApp, ...]:
        allowed = "a list of module:Class or module:Class:N, N from 1 upwards, without repetition"
        parts = raw.split(",") if isinstance(raw, str) else [raw] if isinstance(raw, type) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError(allowed)
        pieces: list[object] = []
        for part in parts:
            pieces += [piece.strip() for piece in part.split(",") if piece.strip()] if isinstance(part, str) else [part]
        apps = tuple(self._one(piece, allowed) for piece in pieces)
        if len({app.path for app in apps}) < len(apps):
            raise ValueError(allowed)
        return apps

    @staticmethod
    def _one(part: object, allowed: str) -> TaskApp:
        if isinstance(part, TaskApp):
            return part
        if isinstance(part, type):
            return TaskApp(f"{part.__module__}:{part.__qualname__}", target=part)
        found = _REFERENCE.fullmatch(part) if isinstance(part, str) else None
        if found is None:
            raise ValueError(allowed)
        return TaskApp(found[1], int(found[2]) if found[2] else None)
