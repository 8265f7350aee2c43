"""A Django application for ASGI of what the framework tests ask for. Django has no lifespan and no WebSocket."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    DEBUG=False,
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    },
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no importance",
)


def hello(request: HttpRequest, name: str) -> HttpResponse:
    # Not async: Django runs it in a thread.
    return HttpResponse(f"Hello, {name}!")


async def echo_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"got": json.loads(request.body)})


async def upload(request: HttpRequest) -> HttpResponse:
    digest, size = hashlib.sha256(), 0
    while piece := request.read(65536):
        digest.update(piece)
        size += len(piece)
    return JsonResponse({"size": size, "sha256": digest.hexdigest()})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


async def both(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        while piece := request.read(65536):
            yield piece

    return StreamingHttpResponse(pieces())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(os.environ["PHOTO"], "rb"), content_type="application/octet-stream")


async def watch(request: HttpRequest) -> StreamingHttpResponse:
    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            Path(request.GET["path"]).touch()

    return StreamingHttpResponse(ticks())


async def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault in the application")


urlpatterns = [
    path("hello/<name>", hello),
    path("json", echo_json),
    path("upload", upload),
    path("stream", stream),
    path("both", both),
    path("file", file),
    path("watch", watch),
    path("boom", boom),
]


def make_application() -> ASGIHandler:
    import django

    django.setup(set_prefix=False)
    return ASGIHandler()


app = make_application()
