"""A Django application, in one module, of what the framework tests ask for."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http import StreamingHttpResponse as Streaming
from django.urls import path
from django.views.decorators.http import require_POST, require_safe

FILE = Path(os.environ["PHOTO"])

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
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no importance",
)


@require_safe
def hello(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(f"Hello, {name}!")


def query(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.GET.lists()))


@require_POST
def echo_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"got": json.loads(request.body)})


@require_POST
def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    digest, size = hashlib.sha256(), 0
    while piece := request.read(65536):
        digest.update(piece)
        size += len(piece)
    return JsonResponse({"size": size, "sha256": digest.hexdigest()})


@require_POST
def multipart(request: HttpRequest) -> HttpResponse:
    given = request.FILES["file"]
    data = given.read()
    answer = {"name": given.name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return JsonResponse(answer | request.POST.dict())


def stream(request: HttpRequest) -> Streaming:
    def lines() -> Iterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return Streaming(lines(), content_type="text/plain")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(FILE.open("rb"), content_type="application/octet-stream")


def set_cookie(request: HttpRequest) -> HttpResponse:
    answer = HttpResponse("set")
    answer.set_cookie("flavour", "oat")
    answer.set_cookie("shape", "round")
    return answer


def show_cookie(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.COOKIES)


def redirect(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/hello/again")


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault in the Django application")


urlpatterns = [
    path("hello/<name>", hello),
    path("query", query),
    path("json", echo_json),
    path("form", form),
    path("upload", upload),
    path("multipart", multipart),
    path("stream", stream),
    path("file", file),
    path("cookie/set", set_cookie),
    path("cookie/show", show_cookie),
    path("redirect", redirect),
    path("empty", empty),
    path("boom", boom),
]


def make_application() -> WSGIHandler:
    import django

    django.setup(set_prefix=False)
    return WSGIHandler()


application = make_application()
