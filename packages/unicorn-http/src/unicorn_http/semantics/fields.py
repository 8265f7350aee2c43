"""Header fields of requests: names, repetition, and the trouble with underscores."""

from collections.abc import Iterable
from dataclasses import dataclass

from unicorn_http.semantics import grammar
from unicorn_http.semantics.refusal import Refusal

# Fields that decide over framing or routing: a second one is an attack or a bug (RFC 9110 section 5.3).
SINGLE = frozenset({b"host", b"content-length", b"content-type", b"transfer-encoding", b"expect"})


class FieldNames(dict[bytes, bytes]):
    """Names as received -> in lower case; a bounded cache that checks each new name.

    Names with an underscore are never kept in the cache, so that each of them passes `__missing__` and is noted in
    `underscored`: the common case without any costs nothing.
    """

    LARGEST = 4096

    def __init__(self) -> None:
        super().__init__()
        self.underscored: list[bytes] = []

    def __missing__(self, name: bytes) -> bytes:
        if grammar.TOKEN.fullmatch(name) is None:
            raise Refusal(400, "field-name", "a field name is malformed", "RFC 9110 section 5.1")
        lower = name.lower()
        if b"_" in name:
            self.underscored.append(lower)
        elif len(self) < self.LARGEST:
            self[name] = lower
        return lower

    def take_underscored(self) -> list[bytes]:
        found, self.underscored = self.underscored, []
        return found


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """What happens to names with underscores, which WSGI cannot tell from those with hyphens.

    Attributes:
        header_map: drop, refuse or dangerous (let through).
        forwarder: lower-case names that this connection's peer may use all the same (`forwarder_headers`, from a
            trusted peer).
    """

    header_map: str = "drop"
    forwarder: frozenset[bytes] = frozenset()

    def without_underscores(
        self, table: dict[bytes, bytes], pairs: list[tuple[bytes, bytes]], underscored: Iterable[bytes]
    ) -> list[tuple[bytes, bytes]]:
        """Apply the policy: changes `table`, returns the pairs that are left."""
        unwanted = set() if self.header_map == "dangerous" else set(underscored) - self.forwarder
        if not unwanted:
            return pairs
        if self.header_map == "refuse":
            raise Refusal(400, "underscore", "a field name contains an underscore", "setting header_map")
        for name in unwanted:
            table.pop(name, None)
        return [(name, value) for name, value in pairs if name.lower() not in unwanted]


def join_repeated(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Values by name, repeated ones joined (RFC 9110 section 5.2; cookies by "; ").

    Raises:
        Refusal: a field that must not be repeated is.
    """
    table: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name not in table:
            table[name] = value
        elif name in SINGLE:
            raise Refusal(400, "repeated-field", f"{name.decode()} is repeated", "RFC 9110 section 5.3")
        else:
            table[name] += (b"; " if name == b"cookie" else b",") + value
    return table
