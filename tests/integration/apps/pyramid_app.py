"""A Pyramid application of what the framework tests ask for."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPNoContent
from pyramid.request import Request
from pyramid.response import FileResponse, Response

FILE = Path(os.environ["PHOTO"])


def hello(request: Request) -> Response:
    return Response(f"Hello, {request.matchdict['name']}!")


def query(request: Request) -> dict[str, list[str]]:
    return {key: request.GET.getall(key) for key in request.GET}


def echo_json(request: Request) -> dict[str, Any]:
    return {"got": request.json_body}


def form(request: Request) -> dict[str, str]:
    return dict(request.POST)


def upload(request: Request) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while piece := request.body_file.read(65536):
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def multipart(request: Request) -> dict[str, Any]:
    given = request.POST["file"]
    data = given.file.read()
    answer = {"name": given.filename, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return answer | {key: value for key, value in request.POST.items() if key != "file"}


def stream(request: Request) -> Response:
    def lines() -> Iterator[bytes]:
        for number in range(1000):
            yield b"line %d\n" % number

    return Response(app_iter=lines(), content_type="text/plain")


def file(request: Request) -> Response:
    return FileResponse(FILE, request, content_type="application/octet-stream")


def set_cookie(request: Request) -> Response:
    answer = Response("set")
    answer.set_cookie("flavour", "oat")
    answer.set_cookie("shape", "round")
    return answer


def show_cookie(request: Request) -> dict[str, str]:
    return dict(request.cookies)


def redirect(request: Request) -> Response:
    return HTTPFound("/hello/again")


def empty(request: Request) -> Response:
    return HTTPNoContent()


def boom(request: Request) -> Response:
    raise RuntimeError("a fault in the Pyramid application")


def main() -> Callable[..., Any]:
    """The factory, as Pyramid users know it."""
    views = {
        "/hello/{name}": hello,
        "/form": form,
        "/query": query,
        "/json": echo_json,
        "/upload": upload,
        "/multipart": multipart,
        "/stream": stream,
        "/file": file,
        "/cookie/set": set_cookie,
        "/cookie/show": show_cookie,
        "/redirect": redirect,
        "/empty": empty,
        "/boom": boom,
    }
    with Configurator() as config:
        for pattern, view in views.items():
            config.add_route(view.__name__, pattern)
            config.add_view(view, route_name=view.__name__, renderer="json")
    return config.make_wsgi_app()
