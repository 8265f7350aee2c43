"""The other side of a WebSocket: frames made by hand, and the client of the library `websockets`, all without I/O."""

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions import ClientExtensionFactory
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as ClientRequest
from websockets.http11 import Response
from websockets.uri import parse_uri

from unicorn_asgi.websocket.handshake import Upgrade, read_upgrade
from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_asgi.websocket.session import Session
from unicorn_core.settings.registry import Registry
from unicorn_http.h1.builtin_fields import split_fields
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.policies import Policies
from unicorn_http.semantics.request import ListRequest

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Both from RFC 6455 section 1.3."""
SERVER_LINES = SimpleNamespace(lines="Server: unicorn\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n")
MASK = b"\x37\xfa\x21\x3d"

TEXT, BINARY, CLOSE, PING, PONG = Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG
CONT = Opcode.CONT

_registry = Registry.discover()
_policies = Policies(_registry.resolve([_registry.default_source({})[0]]))


def head(*fields: str, method: str = "GET", protocol: str = "HTTP/1.1", **changes: str | None) -> bytes:
    """A handshake that is right but for `changes`: a field's name (with underscores) -> its value, None for none."""
    usual: dict[str, str | None] = {
        "host": "example.org",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec_websocket_key": KEY,
        "sec_websocket_version": "13",
    }
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (usual | changes).items() if value is not None]
    return "\r\n".join([f"{method} /chat {protocol}", *lines, *fields, "", ""]).encode("latin-1")


def read_request(raw: bytes) -> ListRequest:
    """A request as the HTTP/1.1 codec gives it."""
    names: FieldNames[bytes] = FieldNames(lambda name: name)
    request = _policies.of("192.0.2.1").read(raw, split_fields, lambda: ListRequest(names))
    assert isinstance(request, ListRequest)
    return request


def upgrade_of(*fields: str, policy: WebSocketPolicy | None = None, **changes: str | None) -> Upgrade:
    return read_upgrade(read_request(head(*fields, **changes)), policy or WebSocketPolicy())


def masked(data: bytes) -> bytes:
    whole = (MASK * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = True, form: int = 0
) -> bytes:
    """A client's frame, right or wrong. `form`: 126 or 127 for a length that is longer than it need be."""
    first, length = fin << 7 | reserved << 4 | opcode, len(data)
    form = form or (length if length < 126 else 126 if length < 65536 else 127)
    start = bytes((first, mask << 7 | form))
    if form == 126:
        start += struct.pack("!H", length)
    elif form == 127:
        start += struct.pack("!Q", length)
    return start + MASK + masked(data) if mask else start + data


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


class Wire:
    """A session whose output is kept.

    Attributes:
        sent: the pieces that it wrote.
    """

    def __init__(self, policy: WebSocketPolicy | None = None, extensions: Sequence[Any] = ()) -> None:
        self.sent: list[bytes] = []
        self.session = Session(policy or WebSocketPolicy(), list(extensions), self._write)

    def _write(self, *pieces: bytes) -> None:
        assert all(pieces)
        self.sent += pieces

    def feed(self, *pieces: bytes) -> "Wire":
        for piece in pieces:
            self.session.feed(piece)
        return self

    def take(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self.sent)
        self.sent.clear()
        return data

    def frames(self) -> list[tuple[Opcode, bytes]]:
        """What was written since the last time, as uncompressed frames."""
        return read_frames(self.take())

    @property
    def messages(self) -> list[str | bytes]:
        return list(self.session.messages)

    @property
    def outcome(self) -> tuple[Any, ...]:
        """All that can be seen of it."""
        return self.messages, b"".join(self.sent), self.session.closed, self.session.finished


def read_frames(data: bytes) -> list[tuple[Opcode, bytes]]:
    frames = []
    while data:
        opcode, length, at = Opcode(data[0] & 15), data[1], 2
        assert data[0] & 0xF0 == 0x80
        if length == 126:
            length, at = struct.unpack("!H", data[2:4])[0], 4
        elif length == 127:
            length, at = struct.unpack("!Q", data[2:10])[0], 10
        frames.append((opcode, data[at : at + length]))
        data = data[at + length :]
    return frames


def close_of(wire: Wire) -> tuple[int, str]:
    """Code and reason of the one close frame that was written, as the last one."""
    *_, (opcode, data) = frames = wire.frames()
    assert [opcode for opcode, _ in frames].count(CLOSE) == 1
    assert opcode == CLOSE
    return struct.unpack("!H", data[:2])[0], data[2:].decode()


class Client:
    """A client of the library, connected to a session of ours by a handshake that each of them has read.

    Attributes:
        frames: that came from the server.
        extension: what the server's answer said about extensions.
    """

    def __init__(
        self,
        policy: WebSocketPolicy | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[str] = (),
        subprotocol: str | None = None,
    ) -> None:
        policy = policy or WebSocketPolicy()
        self.protocol = ClientProtocol(
            parse_uri("ws://example.org/chat"),
            extensions=extensions,
            subprotocols=subprotocols or None,  # type: ignore[arg-type]
            max_size=None,
        )
        self.protocol.send_request(self.protocol.connect())
        upgrade = read_upgrade(read_request(b"".join(self.protocol.data_to_send())), policy)
        self.extension = upgrade.extension
        self.wire = Wire(policy, upgrade.extensions)
        self.frames: list[Frame] = []
        self.receive(upgrade.response(subprotocol, (), SERVER_LINES.lines))
        assert self.protocol.handshake_exc is None

    @property
    def session(self) -> Session:
        return self.wire.session

    def receive(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                self.frames.append(event)
            else:
                assert isinstance(event, ClientRequest | Response)

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any."""
        while (data := b"".join(self.protocol.data_to_send())) or self.wire.sent:
            if data:
                self.wire.feed(data)
            if answer := self.wire.take():
                self.receive(answer)

    def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)

    def echo(self, message: str | bytes) -> str | bytes:
        """Send a message, have the server send it back, and give what came."""
        self.send(message)
        self.exchange()
        back = self.session.messages.popleft()
        assert type(back) is type(message)
        self.session.send_text(back) if isinstance(back, str) else self.session.send_bytes(back)
        self.exchange()
        (came,) = self.frames
        self.frames.clear()
        return bytes(came.data) if came.opcode is BINARY else bytes(came.data).decode()


def deflate(**parameters: Any) -> list[ClientExtensionFactory]:
    return [ClientPerMessageDeflateFactory(**parameters)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The same bytes in pieces."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(bounds)]
