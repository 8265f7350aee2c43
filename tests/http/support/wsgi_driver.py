"""One request and its response without a connection: the real codec on one side, a list of writes on the other."""

from collections.abc import Callable, Iterable
from typing import Any

from codec_driver import CODECS, PROXY, make_settings

from unicorn_http.codec import Codec, Peer
from unicorn_http.semantics.policies import watched_names
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.wsgi.environ import EnvironFactory
from unicorn_http.wsgi.reply import Reply
from unicorn_http.wsgi.request import WsgiRequest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Script:
    """A connection without a socket: the sink of its codec, and the outlet of the request that came.

    Attributes:
        request: what came.
        writes: what went out, with how: ("send", ...), ("finish", ...) or ("file", descriptor, offset, count).
        response: as the codec framed it.
    """

    def __init__(
        self,
        wire: bytes = GET,
        *,
        persist: bool = True,
        factory: EnvironFactory | None = None,
        peer: Peer = PROXY,
        **settings: object,
    ) -> None:
        self._factory = factory or environs(**settings)
        self._environ = self._factory.for_connection(peer)
        self._persist = persist
        self.writes: list[tuple[Any, ...]] = []
        self.response: ResponseHead | None = None
        self._codec: Codec = CODECS[0].protocol(**settings).connect(self, peer)
        self._codec.feed(wire)

    # The sink

    def new_request(self) -> WsgiRequest:
        return WsgiRequest(self._factory.names, environ=self._environ.copy(), outlet=self)

    def on_request(self, request: WsgiRequest) -> None:
        self.request = request

    def on_body(self, data: bytes) -> None:
        pass

    def on_end(self) -> None:
        self.request.complete = True

    def on_abort(self, error: Exception) -> None:
        raise error

    # The outlet

    taken_over = False

    def frame(self, request: WsgiRequest, response: ResponseHead, length: int | None) -> bytes:
        self.response = response
        return self._codec.head(request, response, length, self._persist)

    def interim(self, request: WsgiRequest, status: str, fields: str) -> None:
        if data := self._codec.interim(request, status, fields):
            self.send(data)

    def send(self, *parts: bytes) -> None:
        self.writes.append(("send", b"".join(parts)))

    def finish(self, head: bytes, body: bytes) -> None:
        self.writes.append(("finish", head + body))

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        self.writes.append(("file", descriptor, offset, count))
        return count

    def read_more(self, expects_continue: bool) -> None:
        raise AssertionError("everything has come")

    def cut(self) -> None:
        raise AssertionError("the gateway cuts, not the reply")

    # What came of it

    @property
    def wire(self) -> bytes:
        """All bytes written."""
        return b"".join(write[1] for write in self.writes if write[0] != "file")

    @property
    def body(self) -> bytes:
        """The bytes after the head, with their framing."""
        return self.wire.partition(b"\r\n\r\n")[2]

    def field(self, name: str) -> str | None:
        """A field of the response; two of one name are a mistake."""
        lines = self.wire.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        found = [value for key, _, value in (line.partition(": ") for line in lines) if key.lower() == name]
        assert len(found) < 2, found
        return found[0] if found else None


def environs(**settings: object) -> EnvironFactory:
    """The environs of one worker with these settings."""
    return EnvironFactory(ERRORS, watched_names(make_settings(**settings)), multithread=False, multiprocess=True)


class _Errors:
    """Stands for the stream of wsgi.errors."""


ERRORS: Any = _Errors()


def run(application: Callable[..., Iterable[bytes]], wire: bytes = GET, **options: Any) -> tuple[Script, Reply]:
    """Call an application for one request as the gateway does, without what that makes of errors."""
    script = Script(wire, **options)
    reply = Reply(script.request)
    result = application({}, reply.start_response)
    try:
        reply.send_result(result, sendfile=False)
    finally:
        if hasattr(result, "close"):
            result.close()
    return script, reply
