"""The applications that every server under test runs: bare WSGI and ASGI callables, and frameworks.

Both answer the same paths: / (13 bytes), /10k, /echo (length of the request body), /stream (16 chunks of
64 KiB), /json (a small JSON document made anew for each request), /sleep (13 bytes after 10 ms); ASGI
also echoes WebSocket messages. Below /flask, /django (WSGI), /starlette and /fastapi (ASGI) a framework,
imported when first asked for, says the same hello as JSON. apps:flask and so on is the application of the framework
alone, imported at once.
"""

from __future__ import annotations

import functools
import json
import time
from typing import Any

HELLO = b"Hello, world!"
TEN_K = b"x" * 10240
CHUNK = b"y" * 65536
CHUNKS = 16
GREETING = {"message": "Hello, world!"}


def document(user_agent: str, language: str) -> bytes:
    return json.dumps({"message": "Hello, world!", "agent": user_agent, "language": language}).encode()


def flask_app() -> Any:
    from flask import Flask

    app = Flask("flask")

    @app.get("/flask")
    def greet():
        return GREETING

    return app


def django_app() -> Any:
    import django
    from django.conf import settings
    from django.http import JsonResponse
    from django.urls import path

    def greet(request):
        return JsonResponse(GREETING)

    urls = type("Urls", (), {"urlpatterns": [path("django", greet)]})
    settings.configure(
        ROOT_URLCONF=urls,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="benchmark",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # as in every project; it sets Content-Length
    )
    django.setup()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def greet(request):
        return JSONResponse(GREETING)

    return Starlette(routes=[Route("/starlette", greet)])


def fastapi_app() -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/fastapi")
    async def greet():
        return GREETING

    return app


FRAMEWORKS = {"flask": flask_app, "django": django_app, "starlette": starlette_app, "fastapi": fastapi_app}


@functools.cache
def framework(name: str) -> Any:
    """The application of a framework that answers /NAME with the greeting."""
    return FRAMEWORKS[name]()


def __getattr__(name: str) -> Any:
    if name in FRAMEWORKS:
        return framework(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    kind = "text/plain"
    if path == "/":
        body = HELLO
    elif path == "/10k":
        body = TEN_K
    elif path == "/echo":
        body = b"%d" % body_size(environ)
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", kind)])
        return (CHUNK for _ in range(CHUNKS))
    elif path == "/json":
        kind = "application/json"
        body = document(environ["HTTP_USER_AGENT"], environ["HTTP_ACCEPT_LANGUAGE"])
    elif path == "/sleep":
        time.sleep(0.01)
        body = HELLO
    elif path in ("/flask", "/django"):
        return framework(path[1:])(environ, start_response)
    else:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def body_size(environ) -> int:
    """Read the request body as an application would, by blocks."""
    read, size = environ["wsgi.input"].read, 0
    left = int(environ["CONTENT_LENGTH"])
    while left and (data := read(min(left, 65536))):
        size += len(data)
        left -= len(data)
    return size


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(receive, send)
    else:
        await http(scope, receive, send)


async def http(scope, receive, send):
    path = scope["path"]
    kind, status = b"text/plain", 200
    if path == "/":
        body = HELLO
    elif path == "/10k":
        body = TEN_K
    elif path == "/echo":
        body = b"%d" % await received_size(receive)
    elif path == "/stream":
        await stream(send, kind)
        return
    elif path == "/json":
        kind = b"application/json"
        headers = dict(scope["headers"])
        body = document(headers[b"user-agent"].decode("latin-1"), headers[b"accept-language"].decode("latin-1"))
    elif path == "/sleep":
        import asyncio  # a WSGI server must not pay for it at its start

        await asyncio.sleep(0.01)
        body = HELLO
    elif path in ("/starlette", "/fastapi"):
        await framework(path[1:])(scope, receive, send)
        return
    else:
        status, body = 404, b""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def received_size(receive) -> int:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return size


async def stream(send, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if (data := message.get("bytes")) is not None:
            await send({"type": "websocket.send", "bytes": data})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
