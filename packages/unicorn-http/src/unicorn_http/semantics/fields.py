"""Header fields of requests: names, the few that the server looks at, and the trouble with underscores."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from unicorn_http.semantics import grammar
from unicorn_http.semantics.refusal import Refusal

Key = TypeVar("Key")

# What framing and routing depend on: a second one is an attack or a bug (RFC 9110 section 5.3). Host is one of them,
# but nearly every request has it: it is not watched, and a second one is found by the comma that joins the two.
SINGLE = frozenset({b"content-length", b"content-type", b"transfer-encoding", b"expect"})
WATCHED = SINGLE | {b"connection"}


class _Known(dict[Any, Key]):
    """Gives None for an unknown name: a subscript is faster than get() where every field passes."""

    def __missing__(self, name: Any) -> None:
        return None


class FieldNames(Generic[Key]):
    """A worker's bounded cache of checked field names, as received, in the two forms in which parsers give them.

    Attributes:
        ordinary: names that need nothing but to be stored, as bytes -> the gateway's key.
        ordinary_text: the same names as latin-1 text.
        watched: names whose values the server looks at -> in lower case, and the gateway's key.
        hosts: values of Host that need no further look, in the gateway's form.
    """

    LARGEST = 4096

    def __init__(self, key_of: Callable[[bytes], Key], also_watched: Iterable[bytes] = ()) -> None:
        """`key_of` makes the gateway's key from a name in lower case; `also_watched` are further lower-case names."""
        self.ordinary: _Known[Key] = _Known()
        self.ordinary_text: _Known[Key] = _Known()
        self.watched: dict[bytes, tuple[bytes, Key]] = {}
        self.hosts: set[Any] = set()
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
        if b"_" not in name and len(self.ordinary) + len(self.watched) < self.LARGEST:
            if lower in self._watch:
                self.watched[name] = lower, key
            else:
                self.ordinary[name] = self.ordinary_text[name.decode("ascii")] = key
        return lower, key

    def is_watched(self, lower: bytes) -> bool:
        return lower in self._watch

    def check_host(self, host: Any) -> None:
        """Check a value of Host, in the gateway's form, by the grammar.

        Raises:
            Refusal: it is malformed, or two values that were joined.
        """
        value = host.encode("latin-1") if isinstance(host, str) else host
        if grammar.HOST.fullmatch(value) is None:
            raise Refusal(400, "host", "the Host field is malformed, or there are two", "RFC 9112 section 3.2")

    def know_host(self, host: Any) -> None:
        """Remember a value of Host that is checked and served."""
        if len(self.hosts) < self.LARGEST:
            self.hosts.add(host)
