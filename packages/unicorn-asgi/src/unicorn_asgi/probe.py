"""A request by the server itself, without a connection: does the application answer it?"""

from asyncio import Event

from unicorn_asgi.gateway import Application
from unicorn_asgi.http import Message
from unicorn_asgi.scope import ScopeFactory
from unicorn_core.listen.listener import Listener
from unicorn_http.codec import Peer
from unicorn_http.semantics.request import ListRequest

CLIENT = "127.0.0.1"
USER_AGENT = b"unicorn-canary"
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


async def probe(application: Application, scopes: ScopeFactory, path: str, listener: Listener | None) -> int:
    """Let the application answer a GET of this path; gives the status, 500 if its response does not become complete.

    Args:
        listener: the one that the request seems to have come to; None, or a unix socket, goes as localhost.

    Raises:
        Exception: what the application raises.
    """
    from urllib.parse import quote  # a canary alone needs it

    host, port = _authority(listener)
    request = ListRequest(scopes.names)
    request.method = "GET"
    request.target = quote(path, safe=_ASCII)
    request.store(b"host", f"{host}:{port}".encode() if port else host.encode())
    request.store(b"user-agent", USER_AGENT)
    answer = _Answer()
    scope = scopes.http(request, scopes.for_connection(Peer(CLIENT, 0, host, port)))
    await application(scope, answer.receive, answer.send)
    return answer.status if answer.over.is_set() else 500


class _Answer:
    """The other end of such a request."""

    def __init__(self) -> None:
        self.status = 500
        self.over = Event()
        self._asked = False

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] in ("http.response.body", "http.response.pathsend") and not message.get("more_body"):
            self.over.set()


def _authority(listener: Listener | None) -> tuple[str, int]:
    if listener is None or listener.is_unix:
        return "localhost", 0
    host, port = listener.socket.getsockname()[:2]
    host = {"0.0.0.0": CLIENT, "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host, port
