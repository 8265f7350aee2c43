"""The ASGI messages of one WebSocket, without I/O (spec 2.5, https://asgi.readthedocs.io/en/latest/specs/www.html).

    CONNECTING --websocket.accept--> OPEN --websocket.close-----------------> CLOSED
      |----websocket.close: the answer is 403-------------------------------> CLOSED
      |----websocket.http.response.start--> DENYING --the last ...body------> CLOSED
      +----the client leaves------------------------------------------------> GONE

In OPEN the client, or the server, may close at any time: `Session.closed` tells it.

What the application sends in a wrong order or form is a MessageError, a value that must not be sent a ValueError;
neither changes the state. What it sends when the client is gone is a ClientDisconnectedError.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from unicorn_asgi.http import ClientDisconnectedError, MessageError
from unicorn_asgi.websocket.handshake import Upgrade
from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_asgi.websocket.session import Session
from unicorn_http.codec import ServerLines
from unicorn_http.semantics.refusal import error_body

Message = dict[str, Any]

MOST_DISCONNECTS = 100
"""So often an application may ask for more after `websocket.disconnect`."""
_VANISHED = 1006, ""
_DENIAL = "websocket.http.response."
_FORBIDDEN: tuple[Message, ...] = (
    {"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain; charset=utf-8")]},
    {"type": "http.response.body", "body": error_body(403)[1]},
)


class State(Enum):
    """What the application may send."""

    CONNECTING = auto()
    OPEN = auto()
    DENYING = auto()
    CLOSED = auto()  # nothing: it has said its last word
    GONE = auto()  # nothing: the client left before the handshake was answered


CONNECTING, OPEN, DENYING, CLOSED, GONE = State


def websocket_scope(scope: Message, upgrade: Upgrade) -> Message:
    """The scope of a WebSocket, from the one that the same request would have by HTTP."""
    scope = scope.copy()
    del scope["method"]
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = list(upgrade.subprotocols)
    extensions = scope.get("extensions") or {}
    scope["extensions"] = {"websocket.http.response": {}} | {
        name: value for name, value in extensions.items() if not name.startswith("http.")
    }
    return scope


class Gateway:
    """One connection, from its handshake on.

    Attributes:
        session: once the handshake is accepted.
        state: see `State`.
        aware: the application knows that the connection is closed, or is about to be.
        policy: what the settings say.
    """

    __slots__ = ("_asked", "_disconnects", "_server", "_upgrade", "_write", "aware", "policy", "session", "state")

    def __init__(
        self, upgrade: Upgrade, policy: WebSocketPolicy, server: ServerLines, write: Callable[..., object]
    ) -> None:
        """`write` is called with one or more pieces of bytes that are to be sent, one behind the other."""
        self._upgrade = upgrade
        self.policy = policy
        self._server = server
        self._write = write
        self._asked = False
        self._disconnects = 0
        self.aware = False
        self.state = CONNECTING
        self.session: Session | None = None

    def receive(self) -> Message | None:
        """What the application gets next; None: nothing yet.

        Raises:
            MessageError: it asks for more and more although it was told that the connection is closed.
        """
        session = self.session
        if session is not None and session.messages:
            message = session.messages.popleft()
            if type(message) is str:
                return {"type": "websocket.receive", "text": message}
            return {"type": "websocket.receive", "bytes": message}
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        code, reason = _VANISHED
        if session is not None:
            if session.closed is None:
                return None
            code, reason = session.closed
        elif self.state is not CLOSED and self.state is not GONE:
            return None
        self.aware = True
        self._disconnects += 1
        if self._disconnects > MOST_DISCONNECTS:
            # An application that overlooks it would turn in a circle for ever, and the whole worker with it.
            raise MessageError("receive() was called again and again after 'websocket.disconnect'")
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    def send(self, message: Message) -> tuple[Message, ...]:
        """Take a message of the application.

        Returns:
            What is to be answered by HTTP instead of the handshake: messages of the types `http.response.*`.

        Raises:
            MessageError, ValueError, ClientDisconnectedError: see the module.
        """
        try:
            kind = message["type"]
        except (TypeError, KeyError):
            raise MessageError(f"an ASGI message is a dict with a 'type', not {message!r}") from None
        session = self.session
        if session is not None and self.state is OPEN:
            if session.closed is not None:
                self.aware = True
                _refuse_late(kind, *session.closed)
            elif kind == "websocket.send":
                _send_data(session, message)
            elif kind == "websocket.close":
                session.close(*_close_arguments(message))
                self.state = CLOSED
                self.aware = True
            else:
                raise _unexpected(kind, "after 'websocket.accept'")
            return ()
        if self.state is CONNECTING:
            return self._answer(kind, message)
        if self.state is DENYING:
            return self._deny(kind, message)
        if self.state is GONE:
            _refuse_late(kind, *_VANISHED)
            return ()
        raise _unexpected(kind, "after the application has closed the WebSocket or denied it")

    def client_left(self) -> None:
        """Nothing more will come from the client."""
        if self.session is not None:
            self.session.feed_eof()
        elif self.state is not CLOSED:
            self.state = GONE

    def end(self, code: int) -> None:
        """The application has returned or failed: close what it left open."""
        self.state = CLOSED
        self.aware = True
        if self.session is not None:
            self.session.close(code)

    def _answer(self, kind: str, message: Message) -> tuple[Message, ...]:
        """The application's answer to the handshake."""
        if kind == "websocket.accept":
            subprotocol = message.get("subprotocol")
            if subprotocol is not None and not isinstance(subprotocol, str):
                raise MessageError(f"'subprotocol' must be a string, not {type(subprotocol).__name__}")
            head = self._upgrade.response(subprotocol, message.get("headers") or (), self._server.lines)
            self.session = Session(self.policy, self._upgrade.extensions, self._write)
            self.state = OPEN
            self._write(head)
            return ()
        if kind == "websocket.close":
            self.state = CLOSED
            return _FORBIDDEN
        if kind == f"{_DENIAL}start":
            self.state = DENYING
            return ({**message, "type": "http.response.start"},)
        raise _unexpected(kind, "before 'websocket.accept'")

    def _deny(self, kind: str, message: Message) -> tuple[Message, ...]:
        if kind != f"{_DENIAL}body":
            raise _unexpected(kind, f"after '{_DENIAL}start'")
        if not message.get("more_body", False):
            self.state = CLOSED
        return ({**message, "type": "http.response.body"},)


def _send_data(session: Session, message: Message) -> None:
    text, data = message.get("text"), message.get("bytes")
    if data is None:
        if not isinstance(text, str):
            raise MessageError(f"'websocket.send' has neither 'text', a string, nor 'bytes': {text!r}")
        session.send_text(text)
    elif text is not None:
        raise MessageError("'websocket.send' has both 'text' and 'bytes'")
    elif type(data) is bytes:
        session.send_bytes(data)
    elif isinstance(data, bytes | bytearray | memoryview):
        session.send_bytes(bytes(data))
    else:
        raise MessageError(f"'bytes' of 'websocket.send' must be bytes, not {type(data).__name__}")


def _close_arguments(message: Message) -> tuple[int, str]:
    code, reason = message.get("code"), message.get("reason")
    if code is None:
        code = 1000
    if isinstance(code, bool) or not isinstance(code, int):
        raise MessageError(f"'code' of 'websocket.close' must be an integer, not {type(code).__name__}")
    if reason is not None and not isinstance(reason, str):
        raise MessageError(f"'reason' of 'websocket.close' must be a string, not {type(reason).__name__}")
    return code, reason or ""


def _refuse_late(kind: str, code: int, reason: str) -> None:
    """The connection is closed, but not by the application. To close it once more does no harm."""
    if kind != "websocket.close":
        text = f" {reason}" if reason else ""
        raise ClientDisconnectedError(f"'{kind}' cannot be sent: the WebSocket is closed ({code}{text})")


def _unexpected(kind: str, when: str) -> MessageError:
    return MessageError(f"the application sent {kind!r} {when}")
