"""The contract between a wire protocol and the workers: push, not pull.

A codec is bound to one connection. Bytes that came are fed to it; it calls its sink for what they mean. Responses go
through it the other way and come back as bytes to write. A codec does no I/O and knows no time, so that one
implementation serves blocking, green and asyncio workers.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from unicorn_core.settings.registry import Settings
from unicorn_http.semantics.forwarded import TrustedPeers
from unicorn_http.semantics.refusal import CodecError, Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead


class Sink(Protocol):
    """Who receives requests.

    For each: `new_request`, `on_request`, and if the request is not complete by then any number of `on_body`, `on_end`;
    or `on_abort` at any point. Beside that, `on_control`.
    """

    def new_request(self) -> Request:
        """An empty request, for the codec to fill."""
        ...

    def on_request(self, request: Request) -> None:
        """A request's head is complete and allowed. The request is `complete` if it has no body."""

    def on_body(self, data: bytes) -> None:
        """Some bytes of its body."""

    def on_end(self) -> None:
        """The body is complete."""

    def on_abort(self, error: CodecError) -> None:
        """Nothing more can be read from this connection; the codec ignores what is fed after this."""

    def on_control(self, data: bytes, last: bool) -> None:
        """The codec itself has something to tell the peer, which belongs to no request: it is to be written now.

        Args:
            last: the connection ends with it.
        """


class Codec(Protocol):
    """One connection's protocol.

    Attributes:
        pending: a part of a request has come of which the sink has not been told.
        pending_body: its head has come; its body is to be complete before the sink is told (setting
            buffer_request_body).
    """

    pending: bool
    pending_body: bool

    def feed(self, data: bytes) -> None:
        """Bytes came from the peer."""

    def feed_eof(self) -> None:
        """The peer will send no more."""

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        """Decide how a response is framed, note it in `response`, and give the bytes of its head.

        Args:
            length: of the whole body where it is known; None where it is not.
            persist: the server is willing to keep the connection.
        """
        ...

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        """The bytes of an interim response (RFC 9110 section 15.2); b"" where the client cannot have one.

        Args:
            status: such as "103 Early Hints".
            fields: their lines, each with its CRLF.
        """
        ...


class Peer(Struct, frozen=True):
    """The two ends of a connection; on a unix socket `client` is empty and the ports are 0.

    Attributes:
        client, client_port: with the PROXY protocol, of whoever the proxy speaks for.
        told: False if these are the proxy's own, because it speaks for somebody whom it does not tell: nothing that
            comes from there is to be believed.
    """

    client: str
    client_port: int
    server: str
    server_port: int
    told: bool = True

    @property
    def name(self) -> str:
        """The client, for logs."""
        return self.client or "a unix socket"


class ServerLines(Protocol):
    """The lines that the server adds to every response's head.

    Attributes:
        lines: Date and Server, of the present second.
    """

    lines: str


ReportOf = Callable[[Peer, Refusal], None]
"""Is told of rules that a peer's request breaks and that are only watched (setting strictness)."""


class ProtocolFactory(Protocol):
    """What a plug-in of the group `unicorn.protocols` makes from the settings, once a worker."""

    def __call__(self, settings: Settings, server_lines: ServerLines, report: ReportOf) -> "ConnectionFactory": ...


class AllowedPeers(Struct, frozen=True):
    """Who may connect at all.

    Attributes:
        setting: that names them.
    """

    setting: str
    peers: TrustedPeers


class ConnectionFactory(Protocol):
    """Makes a codec for each connection.

    Attributes:
        allowed: others are turned away before anything is read of them; None: everybody may speak this protocol.
    """

    @property
    def allowed(self) -> AllowedPeers | None: ...

    def __call__(self, sink: Sink, peer: Peer) -> Codec: ...
