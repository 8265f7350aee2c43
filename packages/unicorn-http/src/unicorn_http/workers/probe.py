"""A request by the server itself, without a connection: does the application answer it?"""

from unicorn_core.listen.address import TcpAddress
from unicorn_core.listen.listener import Listener
from unicorn_http.codec import Peer
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.wsgi.environ import EnvironFactory
from unicorn_http.wsgi.request import WsgiRequest

CLIENT = "127.0.0.1"
USER_AGENT = b"unicorn-canary"
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


class Probe:
    """The outlet of such a request: whatever is written to it is thrown away.

    Attributes:
        request: a GET, to be served by a gateway.
        status: of the response; 500 if the application failed within it.
    """

    taken_over = False

    def __init__(self, path: str, listener: Listener | None, environs: EnvironFactory) -> None:
        """`listener`: the one that the request seems to have come to; None, or a unix socket, goes as localhost."""
        host, port = _authority(listener)
        from urllib.parse import quote  # a canary alone needs it, and it costs a millisecond of every start

        environ = environs.for_connection(Peer(CLIENT, 0, host, port))
        self.request = request = WsgiRequest(environs.names, environ, self)
        request.method = "GET"
        request.target = quote(path, safe=_ASCII)
        request.line = f"GET {request.target} HTTP/1.1".encode("ascii")
        request.store(b"host", str(TcpAddress(host, port)).encode() if port else host.encode())
        request.store(b"user-agent", USER_AGENT)
        request.complete = True
        self.status = 500

    def frame(self, request: Request, response: ResponseHead, length: int | None) -> bytes:
        """See unicorn_http.wsgi.request.Outlet."""
        self.status = response.code
        response.bodiless = response.forbids_body
        return response.text.encode("latin-1")

    def interim(self, request: Request, status: str, fields: str) -> None:
        """See unicorn_http.wsgi.request.Outlet."""

    def send(self, *parts: bytes) -> None:
        """See unicorn_http.wsgi.request.Outlet."""

    def finish(self, head: bytes, body: bytes) -> None:
        """See unicorn_http.wsgi.request.Outlet."""

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """See unicorn_http.wsgi.request.Outlet."""
        return count

    def read_more(self, expects_continue: bool) -> None:
        """See unicorn_http.wsgi.request.Outlet; there is no body, so nobody asks."""

    def hang_up(self) -> None:
        """See unicorn_http.wsgi.request.Outlet."""
        self.status = 500

    def cut(self) -> None:
        """The response has not become complete."""
        self.status = 500


def _authority(listener: Listener | None) -> tuple[str, int]:
    if listener is None or listener.is_unix:
        return "localhost", 0
    host, port = listener.socket.getsockname()[:2]
    return {"0.0.0.0": CLIENT, "::": "::1"}.get(host, host), port
