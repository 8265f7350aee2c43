"""Header fields of requests: names, repetition, the few that the server looks at, the trouble with underscores.

A parser hands each field to a `Fields` object, which stores it in the form that its gateway wants. So a field is
touched once, whatever that form is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from unicorn_http.semantics import grammar
from unicorn_http.semantics.refusal import Refusal

Key = TypeVar("Key")

# What framing and routing depend on: a second one is an attack or a bug (RFC 9110 section 5.3).
SINGLE = frozenset({b"host", b"content-length", b"content-type", b"transfer-encoding", b"expect"})
WATCHED = SINGLE | {b"connection"}


class _Ordinary(dict[bytes, Key]):
    """Gives None for an unknown name: a subscript is faster than get() where every field passes."""

    def __missing__(self, name: bytes) -> None:
        return None


class FieldNames(Generic[Key]):
    """A worker's bounded cache of checked field names, as received.

    Attributes:
        ordinary: names that need nothing but to be stored -> the gateway's key.
        watched: names whose values the server looks at -> in lower case, and the gateway's key.
        hosts: values of Host that were checked.
    """

    LARGEST = 4096

    def __init__(self, key_of: Callable[[bytes], Key], also_watched: Iterable[bytes] = ()) -> None:
        """`key_of` makes the gateway's key from a name in lower case; `also_watched` are further lower-case names."""
        self.ordinary: _Ordinary[Key] = _Ordinary()
        self.watched: dict[bytes, tuple[bytes, Key]] = {}
        self.hosts: set[bytes] = set()
        self._key_of = key_of
        self._watch = WATCHED | frozenset(also_watched)

    def learn(self, name: bytes) -> tuple[bytes, Key]:
        """Check a name that is met for the first time; gives it in lower case, and its key.

        Names with an underscore are never kept, so that each of them is met for the first time again.

        Raises:
            Refusal: it is no token.
        """
        if grammar.TOKEN.fullmatch(name) is None:
            raise Refusal(400, "field-name", "a field name is malformed", "RFC 9110 section 5.1")
        lower = name.lower()
        key = self._key_of(lower)
        if b"_" not in name:
            if lower in self._watch:
                if len(self.watched) < self.LARGEST:
                    self.watched[name] = lower, key
            elif len(self.ordinary) < self.LARGEST:
                self.ordinary[name] = key
        return lower, key

    def is_watched(self, lower: bytes) -> bool:
        return lower in self._watch

    def check_host(self, host: bytes) -> None:
        """Check a value of Host by the grammar, unless that was done before."""
        if host not in self.hosts:
            if grammar.HOST.fullmatch(host) is None:
                raise Refusal(400, "host", "the Host field is malformed", "RFC 9112 section 3.2")
            if len(self.hosts) < self.LARGEST:
                self.hosts.add(host)


class Fields(Generic[Key]):
    """The fields of one head. A subclass stores them.

    Attributes:
        names: the worker's cache.
        watched: values of the fields that the server looks at, by lower-case name.
        underscored: lower-case names with an underscore, which the policy may want removed.
    """

    __slots__ = ("names", "underscored", "watched")

    def __init__(self, names: FieldNames[Key]) -> None:
        self.names = names
        self.watched: dict[bytes, bytes] = {}
        self.underscored: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """The next field. Blanks behind the value are removed here, since not every parser does.

        Raises:
            Refusal: the name is malformed, or a field is repeated that must not be.
        """
        raise NotImplementedError

    def remove(self, name: bytes) -> None:
        """Forget a field, by its lower-case name."""
        raise NotImplementedError

    def notice(self, name: bytes, value: bytes) -> Key:
        """For a name that is not ordinary: see whether the server looks at it; gives the gateway's key."""
        known = self.names.watched.get(name)
        if known is None:
            known = self.names.learn(name)
            if b"_" in name:
                self.underscored.append(known[0])
                return known[1]
            if not self.names.is_watched(known[0]):
                return known[1]
        lower, key = known
        value = value.rstrip(b" \t")
        if lower not in self.watched:
            self.watched[lower] = value
        elif lower in SINGLE:
            raise Refusal(400, "repeated-field", f"{lower.decode()} is repeated", "RFC 9110 section 5.3")
        else:
            self.watched[lower] += b"," + value
        return key


class FieldList(Fields[bytes]):
    """Fields as pairs of lower-case name and value, in the order received (the form of ASGI)."""

    __slots__ = ("pairs",)

    def __init__(self, names: FieldNames[bytes]) -> None:
        super().__init__(names)
        self.pairs: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        key = self.names.ordinary[name]
        if key is None:
            key = self.notice(name, value)
        self.pairs.append((key, value.rstrip(b" \t")))

    def remove(self, name: bytes) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != name]


@dataclass(frozen=True, slots=True)
class UnderscorePolicy:
    """What happens to names with underscores, which WSGI cannot tell from those with hyphens.

    Attributes:
        header_map: drop, refuse or dangerous (let through).
        forwarder: lower-case names that this connection's peer may use all the same (`forwarder_headers`, from a
            trusted peer).
    """

    header_map: str = "drop"
    forwarder: frozenset[bytes] = frozenset()

    def apply(self, fields: Fields[Key]) -> None:
        """Remove the names that are not wanted, or refuse the request for them."""
        if self.header_map == "dangerous":
            return
        for name in set(fields.underscored) - self.forwarder:
            if self.header_map == "refuse":
                raise Refusal(400, "underscore", "a field name contains an underscore", "setting header_map")
            fields.remove(name)
