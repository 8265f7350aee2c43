"""One request on its way from the codec to the gateway."""

from collections.abc import Mapping
from typing import Any, Self

from msgspec import Struct

from unicorn_http.semantics.fields import SINGLE, FieldNames
from unicorn_http.semantics.proxied import Proxied
from unicorn_http.semantics.refusal import CodecError, Refusal


class Request(Struct, eq=False):
    """Made empty by the sink, filled by the codec, read by the gateway.

    It is one object, and a struct, because a request passes through it thousands of times a second. A subclass stores
    the fields in the form that its gateway wants.

    Attributes:
        names: the worker's cache of field names.
        line: the request line as received.
        method, target, protocol: its parts ("GET", "/path?query", "HTTP/1.1"), ASCII.
        chunked, content_length: the body's framing; neither: no body.
        keep_alive: the client wants the connection to persist.
        scheme: http or https, as the peer's connection or a believed proxy says.
        expects_continue: the client waits for "100 Continue" before it sends the body.
        watched: values of the fields that the server looks at, by lower-case name.
        underscored: fields with an underscore in their name (in lower case), not stored: the policy decides about them.
        script_name: the prefix under which the application is mounted, as a believed proxy says; None if it does not.
        pieces: of the body, as far as it came and was not read.
        complete: the body has come completely.
        error: why it never will.
    """

    names: FieldNames[Any]
    line: bytes = b"-"
    method: str = "-"
    target: str = "-"
    protocol: str = "HTTP/1.1"
    chunked: bool = False
    content_length: int = 0
    keep_alive: bool = True
    scheme: str = "http"
    expects_continue: bool = False
    watched: dict[bytes, bytes] = {}
    underscored: tuple[tuple[bytes, bytes], ...] = ()
    script_name: str | None = None
    pieces: list[bytes] = []
    complete: bool = False
    error: CodecError | None = None

    @property
    def has_body(self) -> bool:
        return self.chunked or self.content_length > 0

    def repeated(self, line: bytes, method: str, target: str) -> Self:
        """A new request with this line, whose fields are the same, and which has no body: see FieldMemo in head.py."""
        raise NotImplementedError

    def on_header(self, name: bytes, value: bytes) -> None:
        """The next field. Blanks behind the value are removed here, since not every parser does.

        Raises:
            Refusal: the name is malformed, or a field is repeated that must not be.
        """
        raise NotImplementedError

    def take_lines(self, lines: list[str]) -> None:
        """All fields at once: lines of ASCII text without control characters, of which the names are not yet checked.

        Raises:
            ValueError, Refusal: as `on_header`.
        """
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("a field line has no colon")
            self.on_header(name.encode("latin-1"), value.lstrip(" \t").encode("latin-1"))

    def take_pairs(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """All fields at once: names, which are not yet checked, and values without the blanks around them.

        Raises:
            ValueError, Refusal: as `on_header`.
        """
        for name, value in pairs:
            self.on_header(name, value)

    def take_proxied(self, said: Proxied) -> None:
        """A believed proxy has told about the client: `said` takes the place of what the connection shows."""
        raise NotImplementedError

    def take_variables(self, variables: Mapping[str, str]) -> None:
        """The server before this one has told these variables (RFC 3875 section 4.1), which are checked: they take the
        place of what the connection shows. The path, the fields and the scheme are not among them."""
        raise NotImplementedError

    def detached(self) -> Self:
        """An empty one that knows nothing of a connection, to be filled and remembered."""
        raise NotImplementedError

    def become(self, other: Self) -> None:
        """Be, on this connection, what a detached one was filled with."""
        self.line, self.method, self.target, self.protocol = other.line, other.method, other.target, other.protocol
        self.keep_alive, self.scheme, self.script_name = other.keep_alive, other.scheme, other.script_name
        self.chunked, self.content_length = other.chunked, other.content_length
        self.watched = other.watched

    def store(self, name: bytes, value: bytes) -> None:
        """Store a field whose name was checked; `name` in lower case."""
        raise NotImplementedError

    def host(self) -> Any:
        """The value of Host in the gateway's form, two values joined by a comma; None without one."""
        raise NotImplementedError

    def notice(self, name: bytes, value: bytes) -> Any:
        """For a name that is not ordinary: see what it is about.

        Gives the gateway's key; None for a field that is not to be stored now, because its name has an underscore.
        """
        value = value.strip(b" \t")
        known = self.names.watched.get(name)
        if known is None:
            known = self.names.learn(name)
            if b"_" in name:
                self.underscored += ((known[0], value),)
                return None
            if not self.names.is_watched(known[0]):
                return known[1]
        lower, key = known
        if lower not in self.watched:
            self.watched[lower] = value
        elif lower in SINGLE:
            raise Refusal(400, "repeated-field", f"{lower.decode()} is repeated", "RFC 9110 section 5.3")
        else:
            self.watched[lower] += b"," + value
        return key


class ListRequest(Request, eq=False):
    """Fields as pairs of lower-case name and value, in the order received (the form of ASGI).

    Attributes:
        proxied: what a believed proxy says about the client; None if it says nothing.
    """

    fields: list[tuple[bytes, bytes]] = []
    proxied: Proxied | None = None

    def repeated(self, line: bytes, method: str, target: str) -> Self:
        return type(self)(
            self.names,
            line,
            method,
            target,
            complete=True,
            keep_alive=self.keep_alive,
            scheme=self.scheme,
            watched=self.watched,
            fields=self.fields.copy(),
            proxied=self.proxied,
        )

    def on_header(self, name: bytes, value: bytes) -> None:
        key = self.names.ordinary[name]
        if key is None and (key := self.notice(name, value)) is None:
            return
        self.fields.append((key, value.rstrip(b" \t")))

    def take_pairs(self, pairs: list[tuple[bytes, bytes]]) -> None:
        ordinary = self.names.ordinary
        append = self.fields.append
        for name, value in pairs:
            key = ordinary[name]
            if key is not None or (key := self.notice(name, value)) is not None:
                append((key, value))

    def take_proxied(self, said: Proxied) -> None:
        self.proxied = said.over(self.proxied)

    def take_variables(self, variables: Mapping[str, str]) -> None:
        told = variables.get
        client_port, port = int(told("REMOTE_PORT") or 0), int(told("SERVER_PORT") or 0)
        self.proxied = Proxied(told("REMOTE_ADDR", ""), client_port, self.scheme, "", told("SERVER_NAME", ""), port)

    def detached(self) -> Self:
        return type(self)(self.names)

    def become(self, other: Self) -> None:
        super().become(other)
        self.fields, self.proxied = other.fields.copy(), other.proxied

    def store(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def host(self) -> bytes | None:
        values = [value for name, value in self.fields if name == b"host"]
        return b",".join(values) if values else None
