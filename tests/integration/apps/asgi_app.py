"""A bare ASGI application for tests that look at the bytes: one path for each thing that it does, or does wrong."""

import asyncio
import contextvars
import gc
import inspect
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

CHUNK = bytes(range(256)) * 256
tasks_seen: list[str] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def app(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    else:
        name = scope["path"].removeprefix(scope["root_path"]).strip("/").replace("-", "_")
        await PATHS.get(name, missing)(scope, receive, send)


async def lifespan(scope, receive, send) -> None:
    await receive()
    scope["state"]["started"] = ["once"]
    await send({"type": "lifespan.startup.complete"})
    await receive()
    tell("lifespan over")
    await send({"type": "lifespan.shutdown.complete"})


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def answer(send, body: bytes = b"hello", *headers: tuple[bytes, bytes], status: int = 200) -> None:
    fields = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def whole(receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            tell("disconnected while reading")
            raise ConnectionError("the client left while its body was read")
        body += message["body"]
        more = message["more_body"]
    return body


async def hello(scope, receive, send) -> None:
    await answer(send)


async def missing(scope, receive, send) -> None:
    await answer(send, b"missing", status=404)


async def show_scope(scope, receive, send) -> None:
    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("latin-1")
        if isinstance(value, dict):
            return {plain(key): plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    await answer(send, json.dumps(plain(scope)).encode())


async def state(scope, receive, send) -> None:
    seen = "own" in scope["state"]
    scope["state"]["own"] = True
    await answer(send, json.dumps([scope["state"]["started"], seen]).encode())


async def echo(scope, receive, send) -> None:
    await answer(send, await whole(receive))


async def pieces(scope, receive, send) -> None:
    """Tells of each message that it gets, as it gets it."""
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": b"%d;" % len(message["body"]), "more_body": more})


async def size(scope, receive, send) -> None:
    count, more = 0, True
    while more:
        message = await receive()
        count += len(message["body"])
        more = message["more_body"]
    await answer(send, b"%d" % count)


async def unread(scope, receive, send) -> None:
    """Waits for a file, without reading the body."""
    path = Path(scope["query_string"].decode())
    tell("not reading")
    while not path.exists():
        await asyncio.sleep(0.01)
    await answer(send)


async def stream(scope, receive, send) -> None:
    count = int(scope["query_string"] or b"16")
    await send({"type": "http.response.start", "status": 200})
    for number in range(count):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        if number % 16 == 15:
            tell(f"sent {number + 1}")
    await send({"type": "http.response.body"})
    tell("stream complete")


async def blocks(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for body in (b"one,", b"", b"two,"):
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"three"})


async def kinds(scope, receive, send) -> None:
    """Bodies that are not of the type bytes."""
    await send({"type": "http.response.start", "status": 200, "headers": [[bytearray(b"x-list"), b"1"]]})
    await send({"type": "http.response.body", "body": bytearray(b"one,"), "more_body": True})
    await send({"type": "http.response.body", "body": memoryview(b"two")})


async def empty(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body", "body": b"must not be sent"})


async def short(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
    await send({"type": "http.response.body", "body": b"short"})


async def long(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"too long"})


async def nothing(scope, receive, send) -> None:
    """Returns without a response."""


async def half(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def boom(scope, receive, send) -> None:
    raise RuntimeError("a fault before the head")


async def boom_late(scope, receive, send) -> None:
    await half(scope, receive, send)
    raise RuntimeError("a fault behind the head")


async def leave(scope, receive, send) -> None:
    raise SystemExit(7)


async def wrong(scope, receive, send) -> None:
    """Sends one message that it must not send, named by the query, and lets what that raises pass."""
    start = {"type": "http.response.start", "status": 200}
    messages = {
        b"body-first": [{"type": "http.response.body", "body": b""}],
        b"start-twice": [start, start],
        b"unknown": [{"type": "http.response.nonsense"}],
        b"status-text": [{"type": "http.response.start", "status": "200"}],
        b"status-100": [{"type": "http.response.start", "status": 100}],
        b"header-text": [{**start, "headers": [("x", "y")]}],
        b"header-crlf": [{**start, "headers": [(b"x", b"a\r\nb: c")]}],
        b"header-single": [{**start, "headers": [b"x"]}],
        b"body-text": [start, {"type": "http.response.body", "body": "text"}],
        b"trailers": [start, {"type": "http.response.trailers", "headers": []}],
    }
    for message in messages[scope["query_string"]]:
        await send(message)


async def after_end(scope, receive, send) -> None:
    await answer(send)
    try:
        await send({"type": "http.response.body", "body": b"more"})
    except RuntimeError as error:
        tell(f"refused: {error}")
    tell(f"then {(await receive())['type']}")


async def disconnect(scope, receive, send) -> None:
    """Waits for the client to leave."""
    while (await receive())["type"] != "http.disconnect":
        tell("waits for the end")
    tell("the client has left")
    try:
        for _ in range(1000):
            await send({"type": "http.response.start", "status": 200})
            while True:
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
                await asyncio.sleep(0.001)
    except OSError as error:
        tell(f"sending raised {type(error).__name__}")


async def deaf(scope, receive, send) -> None:
    """Never looks whether the client is there."""
    tell("deaf")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        tell("cancelled")
        raise


async def cancel_receive(scope, receive, send) -> None:
    """A task that waits in receive is cancelled; another goes on to wait."""
    await receive()
    first, second = asyncio.create_task(receive()), asyncio.create_task(receive())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert not second.done()
    await answer(send)
    assert (await second)["type"] == "http.disconnect"
    tell("the second one saw the end")


async def background(scope, receive, send) -> None:
    """Goes on after its response until a file is there."""
    await answer(send)
    path = Path(scope["query_string"].decode())
    while not path.exists():
        await asyncio.sleep(0.01)
    tell("background done")


async def pause(scope, receive, send) -> None:
    tell("pausing")
    await asyncio.sleep(float(scope["query_string"] or b"0.1"))
    await answer(send)


async def gate(scope, receive, send) -> None:
    """Blocks the loop until a file is there."""
    path = Path(scope["query_string"].decode())
    path.with_suffix(".begun").touch()
    while not path.exists():
        time.sleep(0.001)
    await answer(send)


async def block(scope, receive, send) -> None:
    await asyncio.sleep(0.01)
    time.sleep(float(scope["query_string"]))
    await answer(send)


async def waiter(scope, receive, send) -> None:
    """A task that is seen in reports of hangs."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"waiting", "more_body": True})
    await inner_wait()


async def inner_wait() -> None:
    await asyncio.sleep(3600)


async def hints(scope, receive, send) -> None:
    links = [b"</style.css>; rel=preload", b"</app.js>; rel=preload"]
    await send({"type": "http.response.early_hint", "links": links})
    await answer(send)


async def trailers(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    more = {"headers": [(b"x-checksum", b"abc"), (b"content-length", b"3")], "more_trailers": True}
    await send({"type": "http.response.trailers", **more})
    await send({"type": "http.response.trailers", "headers": [(b"x-size", b"4")]})


async def pathsend(scope, receive, send) -> None:
    path = scope["query_string"].decode()
    headers = [(b"content-length", b"%d" % os.path.getsize(path))] if path.endswith(".sized") else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.pathsend", "path": path})


async def zerocopy(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200})
    with open(scope["query_string"].decode(), "rb") as file:
        await send({"type": "http.response.zerocopysend", "file": file, "offset": 3, "count": 5, "more_body": True})
        await send({"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 100_000})


async def contexts(scope, receive, send) -> None:
    """What one request sets must not be seen by another, nor must another's task be the current one."""
    seen, task = variable.get(), asyncio.current_task()
    variable.set(scope["query_string"].decode())
    assert task is not None
    named = task.get_name()
    await asyncio.sleep(0)
    assert asyncio.current_task() is task
    fresh = named not in tasks_seen
    tasks_seen.append(named)
    await answer(send, f"{seen} {fresh}".encode())


async def collect(scope, receive, send) -> None:
    """How many objects only the garbage collector frees, since it was asked last."""
    gc.disable()
    await answer(send, b"%d" % gc.collect())


async def pid(scope, receive, send) -> None:
    await answer(send, b"%d" % os.getpid())


async def rss(scope, receive, send) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    await answer(send, b"%d" % (pages * os.sysconf("SC_PAGE_SIZE")))


async def websocket(scope, receive, send) -> None:
    """Echoes; the query may name a subprotocol. Some texts are orders."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": scope["query_string"].decode() or None})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            tell(f"websocket closed: {message['code']} {message['reason']!r}")
            return
        text = message.get("text")
        if text == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "as you wish"})
        elif text == "boom":
            raise RuntimeError("a fault in a websocket")
        elif text == "return":
            return
        elif text == "flood":
            for number in range(2000):
                await send({"type": "websocket.send", "bytes": CHUNK})
                if number % 500 == 499:
                    tell(f"flooded {number + 1}")
        else:
            await send({"type": "websocket.send", **{key: message.get(key) for key in ("bytes", "text")}})


async def websocket_refused(scope, receive, send) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def websocket_denied(scope, receive, send) -> None:
    await receive()
    assert "websocket.http.response" in scope["extensions"]
    headers = [(b"x-why", b"no"), (b"content-length", b"6")]
    await send({"type": "websocket.http.response.start", "status": 418, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"tea", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"pot"})


async def websocket_boom(scope, receive, send) -> None:
    raise RuntimeError("a fault before the handshake")


async def websocket_scope(scope, receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-app", b"1")]})
    shown = {key: scope[key] for key in ("type", "path", "scheme", "subprotocols", "http_version")}
    await send({"type": "websocket.send", "text": json.dumps(shown | {"method": "method" in scope})})
    await receive()


async def websocket_slow(scope, receive, send) -> None:
    """Takes messages only once a file is there."""
    await receive()
    await send({"type": "websocket.accept"})
    path = Path(scope["query_string"].decode())
    while not path.exists():
        await asyncio.sleep(0.01)
    size = 0
    while (message := await receive())["type"] == "websocket.receive":
        size += len(message["bytes"])
    tell(f"received {size}")


PATHS = {
    name: value
    for name, value in globals().items()
    if inspect.iscoroutinefunction(value) and name not in ("app", "lifespan", "answer", "whole", "inner_wait")
} | {"scope": show_scope}
