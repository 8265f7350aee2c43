"""A request by the server itself, without a connection: does the application answer it?"""

from unicorn_core.listen.listener import Listener
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.serving.probing import fill, peer_of
from unicorn_http.wsgi.environ import EnvironFactory
from unicorn_http.wsgi.request import WsgiRequest


class Probe:
    """The outlet of such a request: whatever is written to it is thrown away.

    Attributes:
        request: a GET, to be served by a gateway.
        status: of the response; 500 if the application failed within it.
    """

    taken_over = False

    def __init__(self, path: str, listener: Listener | None, environs: EnvironFactory) -> None:
        """`listener`: see unicorn_http.serving.probing.peer_of."""
        peer = peer_of(listener)
        self.request = WsgiRequest(environs.names, environ=environs.for_connection(peer), outlet=self)
        fill(self.request, path, peer)
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
