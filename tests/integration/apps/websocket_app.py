"""A bare ASGI application for tests of WebSockets: one path for each thing that it does, or does wrong."""

import asyncio
import json
import os
import sys


async def app(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
        return
    await PATHS[scope["path"].strip("/")](scope, receive, send)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def accept(receive, send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})


async def echo(scope, receive, send) -> None:
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send(message | {"type": "websocket.send"})
    tell(f"disconnected: {message['code']} {message['reason']!r}")


async def tells_process(scope, receive, send) -> None:
    await accept(receive, send)
    await send({"type": "websocket.send", "text": str(os.getpid())})
    while (message := await receive())["type"] == "websocket.receive":
        await send(message | {"type": "websocket.send"})


async def tells_scope(scope, receive, send) -> None:
    await accept(receive, send)
    shown = {name: value for name, value in scope.items() if name not in ("headers", "raw_path", "query_string")}
    await send({"type": "websocket.send", "text": json.dumps(shown)})


async def refuses(scope, receive, send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4000})


async def denies(scope, receive, send) -> None:
    await receive()
    fields = [(b"www-authenticate", b"Basic")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"are you?"})


async def denies_by_half(scope, receive, send) -> None:
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"100")]})
    await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})


async def exits(scope, receive, send) -> None:
    await accept(receive, send)
    sys.exit("the application exits")


async def returns(scope, receive, send) -> None:
    await accept(receive, send)


async def closes(scope, receive, send) -> None:
    await accept(receive, send)
    await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
    message = await receive()
    tell(f"disconnected: {message['code']} {message['reason']!r}")


async def sends_late(scope, receive, send) -> None:
    await accept(receive, send)
    assert (await receive())["type"] == "websocket.disconnect"
    try:
        await send({"type": "websocket.send", "text": "too late"})
    except OSError as error:
        tell(f"{type(error).__name__}: {error}")


async def deaf(scope, receive, send) -> None:
    """Takes nothing until the file named in the query is there."""
    await accept(receive, send)
    while not os.path.exists(scope["query_string"]):
        await asyncio.sleep(0.05)
    size = 0
    while (message := await receive())["type"] == "websocket.receive":
        size += len(message["bytes"])
        await send({"type": "websocket.send", "text": str(size)})


async def waits(scope, receive, send) -> None:
    await accept(receive, send)
    tell("accepted")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        tell("cancelled")
        raise


PATHS = {
    "process": tells_process,
    "echo": echo,
    "scope": tells_scope,
    "refuses": refuses,
    "denies": denies,
    "denies-by-half": denies_by_half,
    "exits": exits,
    "returns": returns,
    "closes": closes,
    "sends-late": sends_late,
    "deaf": deaf,
    "waits": waits,
}
