"""A request in WSGI's form: its fields are entries of environ from the beginning."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, Self
from urllib.parse import unquote_to_bytes

from unicorn_http.semantics.proxied import Proxied
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.wsgi.body import BodyError

Environ = dict[str, Any]

RECEIVED = "unicorn.received"
"""The entry of environ with what a believed proxy's word has replaced, as the connection showed it (None: nothing)."""


def _peer(address: str, port: str | None) -> Mapping[str, str | None]:
    """The value of `RECEIVED` where all of the client is told: nobody may write to it."""
    return MappingProxyType({"REMOTE_ADDR": address, "REMOTE_PORT": port})


_UNIX_PEER = _peer("", None)


class Outlet(Protocol):
    """The connection of a request, as the gateway sees it."""

    @property
    def taken_over(self) -> bool:
        """The application has taken its socket; nothing is written any more."""
        ...

    def frame(self, request: Request, response: ResponseHead, length: int | None) -> bytes:
        """Decide how the response is framed; gives the bytes of its head. `length`: of the body, where it is known."""
        ...

    def interim(self, request: Request, status: str, fields: str) -> None:
        """Write an interim response, if the client can have one; see unicorn_http.codec.Codec."""
        ...

    def send(self, *parts: bytes) -> None:
        """Write now, in order, waiting for the client; ClientGoneError if it does not read or is gone."""
        ...

    def finish(self, head: bytes, body: bytes) -> None:
        """Write the last bytes of a response; they may wait until the end of the turn."""
        ...

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """Write `count` bytes of a file without reading them; how many were there."""
        ...

    def read_more(self, expects_continue: bool) -> None:
        """Wait for more of the body, asking for it first with "100 Continue" if the client expects that.

        Raises:
            BodyError: nothing came in time.
        """
        ...

    def hang_up(self) -> None:
        """Close the connection in order, without a response or after what the application wrote to it by itself."""
        ...

    def cut(self) -> None:
        """End the connection so that the client can tell that the response is not complete."""


class WsgiRequest(Request, kw_only=True, eq=False):
    """One request on a connection.

    Attributes:
        environ: its own; begins as a copy of what all requests of the connection have in common.
        answering: the response has begun.
    """

    environ: Environ
    outlet: Outlet
    answering: bool = False
    _continued: bool = False

    def repeated(self, line: bytes, method: str, target: str) -> Self:
        # Environ is as the fields left it: nobody else has this request.
        return type(self)(
            self.names,
            line,
            method,
            target,
            complete=True,
            environ=self.environ.copy(),
            outlet=self.outlet,
            keep_alive=self.keep_alive,
            scheme=self.scheme,
            watched=self.watched,
        )

    def on_header(self, name: bytes, value: bytes) -> None:
        key = self.names.ordinary[name]
        if key is None and (key := self.notice(name, value)) is None:
            return
        self._join(key, str(value, "latin-1").rstrip(" \t"))

    def take_lines(self, lines: list[str]) -> None:
        environ = self.environ
        ordinary = self.names.ordinary_text
        expected = len(environ) + len(lines)
        for line in lines:
            # Nearly all have one blank here. Else the name comes out wrong, is refused, and the head read by the scan.
            name, colon, value = line.partition(": ")
            if not colon:
                raise ValueError("no blank behind the colon, or no colon")
            value = value.strip()
            key = ordinary[name]
            if key is None and (key := self.notice(name.encode("latin-1"), value.encode("latin-1"))) is None:
                expected -= 1
                continue
            environ[key] = value
        if len(environ) != expected:
            raise ValueError("a field is repeated: to be joined one by one")

    def take_pairs(self, pairs: list[tuple[bytes, bytes]]) -> None:
        environ = self.environ
        ordinary = self.names.ordinary
        expected = len(environ) + len(pairs)
        for name, value in pairs:
            key = ordinary[name]
            if key is None and (key := self.notice(name, value)) is None:
                expected -= 1
                continue
            environ[key] = str(value, "latin-1")
        if len(environ) != expected:
            raise ValueError("a field is repeated: to be joined one by one")

    def take_proxied(self, said: Proxied) -> None:
        environ = self.environ
        changes: Environ = {}
        if said.client:
            changes["REMOTE_ADDR"] = said.client
            # The port of the proxy's connection is not the client's, known or not.
            changes["REMOTE_PORT"] = str(said.client_port) if said.client_port else None
        if said.host:
            changes["HTTP_HOST"] = said.host
        if said.server:
            changes["SERVER_NAME"] = said.server
        if said.port:
            changes["SERVER_PORT"] = str(said.port)
        # Nobody may write to it: requests that repeat on a connection share it.
        environ[RECEIVED] = MappingProxyType({key: environ.get(key) for key in changes} | environ.get(RECEIVED, {}))
        for key, value in changes.items():
            if value is None:
                environ.pop(key, None)
            else:
                environ[key] = value
        environ["SCRIPT_NAME"] = str(unquote_to_bytes(said.prefix), "latin-1")

    def take_variables(self, variables: Mapping[str, str]) -> None:
        environ = self.environ
        address = environ.get("REMOTE_ADDR")
        received = _peer(address, environ.get("REMOTE_PORT")) if address else _UNIX_PEER
        if "REMOTE_PORT" not in variables:
            environ.pop("REMOTE_PORT", None)
        environ.update(variables)
        environ[RECEIVED] = received

    def detached(self) -> Self:
        return type(self)(self.names, environ={}, outlet=None)  # type: ignore[arg-type]

    def become(self, other: Self) -> None:
        Request.become(self, other)
        self.take_variables(other.environ)

    def store(self, name: bytes, value: bytes) -> None:
        self._join(environ_key(name), value.decode("latin-1"))

    def host(self) -> str | None:
        return self.environ.get("HTTP_HOST")

    def next_piece(self) -> bytes:
        """See unicorn_http.wsgi.body.BodySource."""
        while not self.pieces:
            if self.complete:
                return b""
            if self.error:
                raise BodyError.of(self.error)
            awaited = self.expects_continue and not self._continued and not self.answering
            self._continued = True
            self.outlet.read_more(awaited)
        piece = b"".join(self.pieces)
        self.pieces.clear()
        return piece

    def _join(self, key: str, value: str) -> None:
        """Repeated fields are joined: RFC 9110 section 5.2, and RFC 6265 section 5.4 for cookies."""
        environ = self.environ
        if key in environ:
            value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        environ[key] = value


class SecureRequest(WsgiRequest, eq=False):
    """One that came over TLS."""

    scheme: str = "https"


def environ_key(name: bytes) -> str:
    """The key of a field in environ, from its lower-case name."""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if name in (b"content-type", b"content-length") else "HTTP_" + key
