"""The opening handshake (RFC 6455 section 4.2): from a request to "101 Switching Protocols", or why not."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from websockets.extensions import Extension

from unicorn_asgi.response import trailer_section
from unicorn_asgi.websocket import deflate
from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_asgi.websocket.upgrade import values_of
from unicorn_http.semantics import grammar
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import ListRequest

VERSION = b"13"
MOST_EXTENSIONS = 1024
"""Bytes of all offers together: reading them is slow, and those of browsers are below 100."""
MOST_SUBPROTOCOLS = 8192
"""Bytes of all of them together; some applications take a token for authentication by them."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""16 bytes in Base64."""


class UpgradeRefusal(Refusal):
    """A request that asks for a WebSocket in a wrong way.

    Attributes:
        fields: that belong to the answer's head.
    """

    def __init__(
        self, status: int, reason: str, text: str, rule: str, fields: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, reason, text, rule)
        self.fields = fields


class Upgrade(Struct, frozen=True):
    """A handshake that is right, before the application has decided about it.

    Attributes:
        key: what the client made up for this connection.
        subprotocols: that it offers, in its order of preference.
        extension: the value of the answer's Sec-WebSocket-Extensions; empty: none.
        extensions: what it stands for.
    """

    key: bytes
    subprotocols: tuple[str, ...]
    extension: str
    extensions: list[Extension]

    def response(self, subprotocol: str | None, fields: Iterable[Any], server_lines: str) -> bytes:
        """The head of the answer that accepts it.

        Args:
            subprotocol: one of those offered; None: none is spoken.
            fields: of the application, pairs of bytes; those that are the server's to say are left out.
            server_lines: Date and Server.

        Raises:
            ValueError: a subprotocol that was not offered, or a field that must not be sent.
        """
        if subprotocol is not None and subprotocol not in self.subprotocols:
            offered = ", ".join(self.subprotocols) or "none"
            raise ValueError(f"the subprotocol {subprotocol!r} is not among those that the client offers ({offered})")
        lines = trailer_section(fields)
        if b"\nsec-websocket-" in b"\n" + lines.lower():
            raise ValueError("Sec-WebSocket headers are the server's: give a subprotocol as 'subprotocol'")
        text = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {_accept(self.key)}\r\n"
        )
        if subprotocol is not None:
            text += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        if self.extension:
            text += f"Sec-WebSocket-Extensions: {self.extension}\r\n"
        return f"{text}{server_lines}".encode("latin-1") + lines + b"\r\n"


def read_upgrade(request: ListRequest, policy: WebSocketPolicy) -> Upgrade:
    """Check the handshake of a request that wants a WebSocket.

    Raises:
        UpgradeRefusal: 426 for a version of the protocol that is not spoken here, 400 for all else.
    """
    if request.method != "GET":
        raise _wrong("method", "a WebSocket handshake is a GET request")
    if request.has_body:
        # What the application would never read could pass for frames.
        raise _wrong("body", "a WebSocket handshake has no body")
    _check_version(request)
    key = _single(request, b"sec-websocket-key", "Sec-WebSocket-Key")
    if _KEY.fullmatch(key) is None:
        raise _wrong("key", "Sec-WebSocket-Key is not 16 bytes in Base64")
    extension = ""
    extensions: list[Extension] = []
    offers = _joined(request, b"sec-websocket-extensions", MOST_EXTENSIONS)
    if policy.compression and offers:
        try:
            extension, extensions = deflate.negotiate(offers)
        except ValueError:
            raise _wrong("extensions", "Sec-WebSocket-Extensions is malformed") from None
    return Upgrade(key, _subprotocols(request), extension, extensions)


def too_early() -> UpgradeRefusal:
    """For a client that sends more before its handshake is answered: the codec has taken that for the next request."""
    text = "something came behind the handshake before it was answered"
    return UpgradeRefusal(400, "websocket-early", text, "RFC 6455 section 4.1")


def _check_version(request: ListRequest) -> None:
    if _single(request, b"sec-websocket-version", "Sec-WebSocket-Version") != VERSION:
        fields = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION.decode()))
        text = "this version of the WebSocket protocol is not spoken here, only 13"
        raise UpgradeRefusal(426, "websocket-version", text, "RFC 6455 section 4.2.2", fields)


def _single(request: ListRequest, name: bytes, shown: str) -> bytes:
    values = list(values_of(request, name))
    if len(values) != 1:
        raise _wrong("field", f"{shown} is {'repeated' if values else 'missing'}")
    return values[0]


def _joined(request: ListRequest, name: bytes, most: int) -> bytes:
    """The values of all fields with this name, as one list."""
    joined = b",".join(values_of(request, name))
    if len(joined) > most:
        raise _wrong("long", f"{name.decode().title()} is longer than {most} bytes")
    return joined


def _subprotocols(request: ListRequest) -> tuple[str, ...]:
    offered = _joined(request, b"sec-websocket-protocol", MOST_SUBPROTOCOLS)
    tokens = [token for piece in offered.split(b",") if (token := piece.strip(b" \t"))]
    if not all(grammar.TOKEN.fullmatch(token) for token in tokens):
        raise _wrong("subprotocols", "Sec-WebSocket-Protocol is malformed")
    return tuple(token.decode("ascii") for token in tokens)


def _wrong(reason: str, text: str) -> UpgradeRefusal:
    return UpgradeRefusal(400, f"websocket-{reason}", text, "RFC 6455 section 4.2.1")


def _accept(key: bytes) -> str:
    return b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode("ascii")
