"""An ASGI application that greets: unicorn hello_asgi:app"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """See https://asgi.readthedocs.io; this one has no lifespan and knows HTTP only."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    name = parse_qs(scope["query_string"].decode()).get("name", ["world"])[0]
    body = f"Hello, {name}!\n".encode()
    fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
