"""A Falcon application of what the framework tests ask for."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import falcon.asgi

status = {"started": "no"}


class Life:
    """Middleware for the lifespan."""

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        status["started"] = "yes"

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        print("the application has ended", flush=True)


class Hello:
    async def on_get(self, req, resp, name) -> None:
        resp.text = f"Hello, {name}!"


class Json:
    async def on_post(self, req, resp) -> None:
        resp.media = {"got": await req.get_media()}


class Upload:
    async def on_post(self, req, resp) -> None:
        digest, size = hashlib.sha256(), 0
        async for piece in req.stream:
            digest.update(piece)
            size += len(piece)
        resp.media = {"size": size, "sha256": digest.hexdigest()}


class Stream:
    async def on_get(self, req, resp) -> None:
        async def lines() -> AsyncIterator[bytes]:
            for number in range(1000):
                yield f"line {number}\n".encode()

        resp.content_type = "text/plain"
        resp.stream = lines()


class Both:
    async def on_post(self, req, resp) -> None:
        resp.stream = req.stream.__aiter__()


class File:
    async def on_get(self, req, resp) -> None:
        path = Path(os.environ["PHOTO"])

        async def pieces() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(65536):
                    yield piece

        resp.content_type = "application/octet-stream"
        resp.set_stream(pieces(), path.stat().st_size)


class Background:
    async def on_get(self, req, resp) -> None:
        path = Path(req.params["path"])

        async def touch() -> None:
            path.touch()

        resp.text = "started"
        resp.schedule(touch)


class Started:
    async def on_get(self, req, resp) -> None:
        resp.text = status["started"]


class Watch:
    async def on_get(self, req, resp) -> None:
        path = Path(req.params["path"])

        async def ticks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"tick\n"
                    await asyncio.sleep(0.01)
            finally:
                path.touch()

        resp.stream = ticks()


class Boom:
    async def on_get(self, req, resp) -> None:
        raise RuntimeError("a fault in the application")


class Echo:
    async def on_websocket(self, req, ws) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send_text(await ws.receive_text())
        except falcon.WebSocketDisconnected:
            pass


app = falcon.asgi.App(middleware=[Life()])
for path, resource in {
    "/hello/{name}": Hello(),
    "/json": Json(),
    "/upload": Upload(),
    "/stream": Stream(),
    "/both": Both(),
    "/file": File(),
    "/background": Background(),
    "/started": Started(),
    "/watch": Watch(),
    "/boom": Boom(),
    "/echo": Echo(),
}.items():
    app.add_route(path, resource)
