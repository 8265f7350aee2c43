"""A FastAPI application of what the framework tests ask for."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, Body, FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"started": "yes"}
    print("the application has ended", flush=True)


app = FastAPI(lifespan=lifespan)


@app.get("/hello/{name}", response_class=PlainTextResponse)
def hello(name: str) -> str:
    # Not async: FastAPI runs it in a thread.
    return f"Hello, {name}!"


@app.post("/json")
async def echo_json(value: Annotated[Any, Body()]) -> dict[str, Any]:
    return {"got": value}


@app.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse((f"line {number}\n" for number in range(1000)), media_type="text/plain")


@app.post("/both")
async def both(request: Request) -> StreamingResponse:
    return StreamingResponse(request.stream())


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(os.environ["PHOTO"], media_type="application/octet-stream")


@app.get("/background", response_class=PlainTextResponse)
async def background(path: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(Path(path).touch)
    return "started"


@app.get("/started", response_class=PlainTextResponse)
async def started(request: Request) -> str:
    return request.state.started


@app.get("/watch")
async def watch(path: str) -> StreamingResponse:
    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            Path(path).touch()

    return StreamingResponse(ticks())


@app.get("/boom")
async def boom() -> None:
    raise RuntimeError("a fault in the application")


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass
