"""A Quart application of what the framework tests ask for."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from quart import Quart, Response, current_app, jsonify, request, send_file, websocket

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = None


@app.before_serving
async def start() -> None:
    app.config["STARTED"] = "yes"


@app.after_serving
async def end() -> None:
    print("the application has ended", flush=True)


@app.get("/hello/<name>")
async def hello(name: str) -> str:
    return f"Hello, {name}!"


@app.post("/json")
async def echo_json() -> Response:
    return jsonify({"got": await request.get_json()})


@app.post("/upload")
async def upload() -> Response:
    digest, size = hashlib.sha256(), 0
    async for piece in request.body:
        digest.update(piece)
        size += len(piece)
    return jsonify({"size": size, "sha256": digest.hexdigest()})


@app.get("/stream")
async def stream() -> Response:
    async def lines() -> AsyncIterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return Response(lines(), mimetype="text/plain")


@app.post("/both")
async def both() -> Any:
    body = request.body

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in body:
            yield piece

    return pieces()


@app.get("/file")
async def file() -> Response:
    return await send_file(os.environ["PHOTO"], mimetype="application/octet-stream")


async def touch(path: str) -> None:
    Path(path).touch()


@app.get("/background")
async def background() -> str:
    app.add_background_task(touch, request.args["path"])
    return "started"


@app.get("/started")
async def started() -> str:
    return str(current_app.config["STARTED"])


@app.get("/watch")
async def watch() -> Any:
    path = Path(request.args["path"])

    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            path.touch()

    response = Response(ticks())
    response.timeout = None
    return response


@app.get("/boom")
async def boom() -> None:
    raise RuntimeError("a fault in the application")


@app.websocket("/echo")
async def echo() -> None:
    while True:
        await websocket.send(await websocket.receive())
