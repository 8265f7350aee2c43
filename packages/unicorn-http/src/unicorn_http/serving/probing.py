"""A request by the server itself, without a connection: what it asks for, and whence it seems to come."""

from unicorn_core.listen.address import TcpAddress
from unicorn_core.listen.listener import Listener
from unicorn_http.codec import Peer
from unicorn_http.semantics.request import Request

CLIENT = "127.0.0.1"
USER_AGENT = b"unicorn-canary"
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


def peer_of(listener: Listener | None) -> Peer:
    """A client of this machine that has come to this listener; None, or a unix socket, goes as localhost."""
    if listener is None or listener.is_unix:
        return Peer(CLIENT, 0, "localhost", 0)
    host, port = listener.socket.getsockname()[:2]
    return Peer(CLIENT, 0, {"0.0.0.0": CLIENT, "::": "::1"}.get(host, host), port)


def fill(request: Request, path: str, peer: Peer) -> None:
    """Make an empty request a GET of this path."""
    from urllib.parse import quote  # a canary alone needs it, and it costs a millisecond of every start

    host, port = peer.server, peer.server_port
    request.method = "GET"
    request.target = quote(path, safe=_ASCII)
    request.line = f"GET {request.target} HTTP/1.1".encode("ascii")
    request.store(b"host", str(TcpAddress(host, port)).encode() if port else host.encode())
    request.store(b"user-agent", USER_AGENT)
    request.complete = True
