"""A Starlette application of what the framework tests ask for."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"started": "yes"}
    print("the application has ended", flush=True)


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"Hello, {request.path_params['name']}!")


async def echo_json(request: Request) -> Response:
    return JSONResponse({"got": await request.json()})


async def upload(request: Request) -> Response:
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def stream(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


async def both(request: Request) -> Response:
    return StreamingResponse(request.stream())


async def file(request: Request) -> Response:
    return FileResponse(os.environ["PHOTO"], media_type="application/octet-stream")


async def background(request: Request) -> Response:
    path = Path(request.query_params["path"])
    return PlainTextResponse("started", background=BackgroundTask(path.touch))


async def started(request: Request) -> Response:
    return PlainTextResponse(request.state.started)


async def watch(request: Request) -> Response:
    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            Path(request.query_params["path"]).touch()

    return StreamingResponse(ticks())


async def boom(request: Request) -> Response:
    raise RuntimeError("a fault in the application")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/hello/{name}", hello),
        Route("/json", echo_json, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/both", both, methods=["POST"]),
        Route("/file", file),
        Route("/background", background),
        Route("/started", started),
        Route("/watch", watch),
        Route("/boom", boom),
        WebSocketRoute("/echo", echo),
    ],
)
