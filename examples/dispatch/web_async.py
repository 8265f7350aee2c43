"""The same as an ASGI application: hundreds of requests wait for tasks at a time, over one connection.

unicorn -k asgi --dispatch-app tasks:Reports --dispatch-workers 3 web_async:app
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from unicorn_core.dispatch import QueueFull, get_client

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    """/?name=x, /lines"""
    if scope["type"] != "http":
        return
    client = get_client()
    if scope["path"] == "/lines":
        await begin(send, 200)
        async for line in client.stream_async("tasks:Reports", "lines", 20):
            await send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})
        await send({"type": "http.response.body"})
        return
    name = parse_qs(scope["query_string"].decode()).get("name", ["unnamed"])[0]
    try:
        report = await client.with_options(timeout=10).execute_async("tasks:Reports", "make", name)
    except QueueFull as error:
        await begin(send, 503, (b"retry-after", b"1"))
        await send({"type": "http.response.body", "body": f"{error}\n".encode()})
        return
    await begin(send, 200)
    await send({"type": "http.response.body", "body": json.dumps(report).encode() + b"\n"})


async def begin(send: Send, status: int, *fields: tuple[bytes, bytes]) -> None:
    """The head of an answer."""
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *fields]}
    )
