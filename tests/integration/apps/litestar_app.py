"""A Litestar application of what the framework tests ask for."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, WebSocket, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import WebSocketDisconnect
from litestar.logging import LoggingConfig
from litestar.response import File, Response, Stream


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.started = "yes"
    yield
    print("the application has ended", flush=True)


@get("/hello/{name:str}", media_type=MediaType.TEXT, sync_to_thread=False)
def hello(name: str) -> str:
    return f"Hello, {name}!"


@post("/json", status_code=200)
async def echo_json(data: Any) -> dict[str, Any]:
    return {"got": data}


@post("/upload", status_code=200)
async def upload(request: Request) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


@get("/stream")
async def stream() -> Stream:
    return Stream((f"line {number}\n" for number in range(1000)), media_type="text/plain")


@post("/both", status_code=200)
async def both(request: Request) -> Stream:
    # Litestar itself takes in what comes while a response is streamed.
    return Stream([piece async for piece in request.stream()])


@get("/file")
async def file() -> File:
    return File(os.environ["PHOTO"], media_type="application/octet-stream")


async def touch(path: str) -> None:
    Path(path).touch()


@get("/background")
async def background(path: str) -> Response[str]:
    return Response("started", media_type=MediaType.TEXT, background=BackgroundTask(touch, path))


@get("/started", media_type=MediaType.TEXT)
async def started(request: Request) -> str:
    return str(request.app.state.started)


@get("/watch")
async def watch(path: str) -> Stream:
    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            Path(path).touch()

    return Stream(ticks())


@get("/boom")
async def boom() -> None:
    raise RuntimeError("a fault in the application")


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


app = Litestar(
    [hello, echo_json, upload, stream, both, file, background, started, watch, boom, echo],
    lifespan=[lifespan],
    logging_config=LoggingConfig(log_exceptions="always"),
    openapi_config=None,
)
