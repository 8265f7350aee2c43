"""The contract between a wire protocol and the workers: push, not pull.

A codec is bound to one connection. Bytes that came are fed to it; it calls its sink for what they mean. Responses go
through it the other way and come back as bytes to write. A codec does no I/O and knows no time, so that one
implementation serves blocking, green and asyncio workers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from unicorn_core.settings.registry import Settings
from unicorn_http.semantics.head import RequestHead
from unicorn_http.semantics.refusal import CodecError
from unicorn_http.semantics.response import ResponseHead


class Sink(Protocol):
    """Who receives requests. For each: `on_request`, any number of `on_body`, `on_end`; or `on_abort` at any point."""

    def on_request(self, head: RequestHead) -> None:
        """A request's head is complete and allowed."""

    def on_body(self, data: bytes) -> None:
        """Some bytes of its body."""

    def on_end(self) -> None:
        """It is complete."""

    def on_abort(self, error: CodecError) -> None:
        """Nothing more can be read from this connection; the codec ignores what is fed after this."""


@dataclass(slots=True)
class Framing:
    """How a response's body goes over the wire, as `Codec.head` decided.

    Attributes:
        head: the bytes of the head.
        bodiless: no body follows, whatever the application gives.
        chunked: each block is wrapped.
        persistent: the connection serves further requests after this response.
    """

    head: bytes
    bodiless: bool
    chunked: bool
    persistent: bool


class Codec(Protocol):
    """One connection's protocol."""

    def feed(self, data: bytes) -> None:
        """Bytes came from the peer."""

    def feed_eof(self) -> None:
        """The peer will send no more."""

    def head(self, request: RequestHead, response: ResponseHead, length: int | None, persist: bool) -> Framing:
        """Frame a response.

        Args:
            length: of the whole body where it is known; None where it is not.
            persist: the server is willing to keep the connection.
        """
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a connection; on a unix socket `client` is empty and the ports are 0."""

    client: str
    client_port: int
    server: str
    server_port: int


class ProtocolFactory(Protocol):
    """What a plug-in of the group `unicorn.protocols` makes from the settings, once a worker."""

    def __call__(self, settings: Settings, server_fields: Callable[[], bytes]) -> "ConnectionFactory":
        """`server_fields` gives the Date and Server lines of the present second."""
        ...


class ConnectionFactory(Protocol):
    """Makes a codec for each connection."""

    def __call__(self, sink: Sink, peer: Peer) -> Codec: ...
