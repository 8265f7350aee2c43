"""A request by the server itself, without a connection: does the application answer it?"""

from asyncio import Event

from unicorn_asgi.gateway import Application
from unicorn_asgi.http import Message
from unicorn_asgi.scope import ScopeFactory
from unicorn_core.listen.listener import Listener
from unicorn_http.semantics.request import ListRequest
from unicorn_http.serving.probing import fill, peer_of


async def probe(application: Application, scopes: ScopeFactory, path: str, listener: Listener | None) -> int:
    """Let the application answer a GET of this path; gives the status, 500 if its response does not become complete.

    Args:
        listener: see unicorn_http.serving.probing.peer_of.

    Raises:
        Exception: what the application raises.
    """
    peer = peer_of(listener)
    request = ListRequest(scopes.names)
    fill(request, path, peer)
    answer = _Answer()
    scope = scopes.http(request, scopes.for_connection(peer))
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
