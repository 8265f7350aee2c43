"""Driving a codec as a worker does, and writing down what it calls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import SimpleNamespace
from typing import Any

from request_corpus import MALFORMED, VALID, Malformed, Valid

from unicorn_core import plugins
from unicorn_core.settings.registry import Registry, Settings, Source
from unicorn_core.testing.plugins import importable
from unicorn_http.codec import Codec, ConnectionFactory, Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.policies import watched_names
from unicorn_http.semantics.refusal import CodecError, Refusal
from unicorn_http.semantics.request import ListRequest, Request
from unicorn_http.wsgi.request import WsgiRequest, environ_key

PROXY = Peer("127.0.0.1", 50000, "127.0.0.1", 8000)
"""A peer that is believed by default."""
STRANGER = Peer("192.0.2.1", 50000, "127.0.0.1", 8000)
SERVER_LINES = SimpleNamespace(lines="Server: unicorn\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n")

Call = tuple[Any, ...]

_registry = Registry.discover()


def make_settings(**changes: object) -> Settings:
    """The defaults of all packages with some of them changed, as raw values."""
    return _registry.resolve([_registry.default_source({})[0], Source("test", changes)])


class Form(Enum):
    """In which form the gateway wants the fields."""

    PAIRS = "pairs"
    ENVIRON = "environ"


class Protocol:
    """What a worker has of a protocol: the factory of codecs, and the cache of field names of each form."""

    def __init__(self, connect: ConnectionFactory, settings: Settings) -> None:
        self.connect = connect
        self._watched = watched_names(settings)
        self.forget_names()

    def forget_names(self) -> None:
        """Begin anew, as a new worker does."""
        self.names = {
            Form.PAIRS: FieldNames(lambda name: name, self._watched),
            Form.ENVIRON: FieldNames(environ_key, self._watched),
        }


@dataclass(frozen=True, slots=True)
class CodecCase:
    """One codec for the conformance suite: a protocol with settings, and the corpus of what it speaks."""

    name: str
    settings: Mapping[str, str]
    malformed: Sequence[Malformed] = MALFORMED
    valid: Sequence[Valid] = VALID

    def protocol(self, **settings: object) -> Protocol:
        """For a new worker; `settings` beside the codec's own."""
        protocol = _protocol(tuple((self.settings | settings).items()))
        protocol.forget_names()
        return protocol


@cache
def _protocol(settings: tuple[tuple[str, object], ...]) -> Protocol:
    merged = make_settings(**dict(settings))
    return Protocol(plugins.load(plugins.PROTOCOLS, merged.protocol)(merged, SERVER_LINES, note), merged)


REPORTED: list[str] = []
"""Reason codes of the rules that were only watched, as they were reported."""


def note(peer: Peer, refusal: Refusal) -> None:
    """Takes the reports of all codecs."""
    REPORTED.append(refusal.reason)


CODECS = tuple(CodecCase(name, {"http_parser": name}) for name in importable(plugins.HTTP_PARSERS))
"""Those of one protocol are compared with each other, too."""


def fields(request: Request) -> dict[str, str]:
    """The fields of a request as WSGI wants them, whatever its form."""
    if isinstance(request, WsgiRequest):
        return request.environ
    joined: dict[str, str] = {}
    assert isinstance(request, ListRequest)
    for name, value in request.fields:
        key, text = environ_key(name), value.decode("latin-1")
        if key in joined:
            text = joined[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        joined[key] = text
    return joined


def facts(request: Request) -> dict[str, Any]:
    """Everything that a request's head says."""
    names = ("method", "protocol", "chunked", "content_length", "keep_alive", "scheme", "expects_continue")
    found = {name: getattr(request, name) for name in names} | {"fields": fields(request)}
    found["target"] = request.target.encode("latin-1")
    return found | {"pairs": request.fields} if isinstance(request, ListRequest) else found


class Recorder:
    """A sink. `calls` has a row a call; the pieces of one body are joined, for they may be cut anywhere."""

    def __init__(self, names: FieldNames[Any], form: Form) -> None:
        self.calls: list[Call] = []
        self._names = names
        self._form = form

    def new_request(self) -> Request:
        if self._form is Form.PAIRS:
            return ListRequest(self._names)
        return WsgiRequest(self._names, environ={}, outlet=None)  # type: ignore[arg-type]

    def on_request(self, request: Request) -> None:
        self.calls.append(("request", facts(request)))
        if request.complete:
            self.on_end()

    def on_body(self, data: bytes) -> None:
        if self.calls and self.calls[-1][0] == "body":
            data = self.calls.pop()[1] + data
        if data:
            self.calls.append(("body", data))

    def on_end(self) -> None:
        self.calls.append(("end",))

    def on_abort(self, error: CodecError) -> None:
        if isinstance(error, Refusal):
            self.calls.append(("abort", error.status, error.reason))
        else:
            self.calls.append(("abort", 0, "disconnected"))

    def on_control(self, data: bytes, last: bool) -> None:
        self.calls.append(("control", data, last))


def record(
    protocol: Protocol,
    pieces: Iterable[bytes],
    *,
    form: Form = Form.ENVIRON,
    eof: bool = False,
    peer: Peer = PROXY,
) -> list[Call]:
    """What the codec of a new connection calls when it is fed these pieces."""
    sink = Recorder(protocol.names[form], form)
    codec: Codec = protocol.connect(sink, peer)
    for piece in pieces:
        codec.feed(piece)
    if eof:
        codec.feed_eof()
    return sink.calls


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in the pieces that end at these places."""
    ends = [*sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in data]


@dataclass(frozen=True, slots=True)
class Understood:
    """One request out of a list of calls."""

    head: Mapping[str, Any]
    body: bytes
    complete: bool


def requests(calls: Iterable[Call]) -> list[Understood]:
    """The requests among the calls; checks that these come in the order that the contract promises."""
    found: list[Understood] = []
    head: Mapping[str, Any] | None = None
    body = b""
    aborted = False
    for kind, *rest in calls:
        assert not aborted, "a call after on_abort"
        if kind == "request":
            assert head is None, "a request before the end of the one before it"
            head, body = rest[0], b""
        elif kind == "body":
            assert head is not None, "a body without a request"
            body += rest[0]
        elif kind == "end":
            assert head is not None, "an end without a request"
            found.append(Understood(head, body, True))
            head = None
        elif kind != "control":
            aborted = True
    if head is not None:
        found.append(Understood(head, body, False))
    return found
