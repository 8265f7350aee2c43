"""The stash as the dispatcher serves it: operations in frames, tables in memory."""

import time
from typing import Any

from unicorn_core.dispatch.errors import StashError, shown
from unicorn_core.dispatch.rules.tables import Bounds, Tables, Value
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import Frame, Kind
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.wire.shared import Descriptors

OPERATIONS = frozenset(
    (
        *("put", "get", "delete", "exists", "put_if_absent", "compare_and_swap", "increment", "ttl", "expire"),
        *("ensure", "keys", "items", "clear", "delete_table", "tables", "info", "has_table"),
    )
)
_TIMELESS = frozenset(("ensure", "clear", "delete_table", "tables", "has_table"))
"""Operations for which it does not matter what time it is."""


class StashService:
    """Runs the operations that clients ask for.

    The body of a request holds the name of the operation and its arguments by name; values stand in it as they were
    packed. The answer to `get` is such a value, any other is packed here.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._serializer = Serializer()

    def ensure(self, table: str) -> None:
        """Make a table unless it is there."""
        self._tables.ensure(table)

    def run(self, frame: Frame, descriptors: Descriptors) -> tuple[Frame, Descriptors]:
        """The answer to a request.

        Raises:
            DispatchError: the operation has failed, or is malformed.
            TypeError, ValueError: its arguments are not those that it takes.
        """
        buffers = shared.fetch(frame.buffers, descriptors)
        name, arguments = self._serializer.unpack(frame.body, buffers)
        if name not in OPERATIONS:
            raise StashError(f"there is no operation {shown(name)}")
        for given in ("value", "expected"):
            if given in arguments:
                arguments[given] = tuple(arguments[given])
        if name == "ensure" and arguments.get("bounds") is not None:
            arguments["bounds"] = Bounds(*arguments["bounds"])
        if name not in _TIMELESS:
            arguments["now"] = time.monotonic()
        result = getattr(self if name == "items" else self._tables, name)(**arguments)
        packed = result if name == "get" else self._serializer.pack(result)
        return self._answer(frame.id, tuple(packed))

    def items(self, **arguments: Any) -> list[Any]:
        """Keys with their values."""
        return [[key, list(value)] for key, value in self._tables.items(**arguments)]

    def _answer(self, number: int, value: Value) -> tuple[Frame, Descriptors]:
        body, *buffers = value
        placed, descriptors = shared.share(buffers) if buffers else ((), ())
        return Frame(Kind.RESULT, number, body=body, buffers=placed), descriptors
