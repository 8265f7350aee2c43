"""An application that uses every corner of PEP 3333, behind wsgiref's validator."""

import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any
from wsgiref.validate import validator

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]
TEXT = [("Content-Type", "text/plain")]


def read_all(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start("200 OK", TEXT)
    return [body]


def read_beyond(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """Asking for more than there is gives what there is, then b""."""
    body = environ["wsgi.input"].read(1 << 20)
    rest = environ["wsgi.input"].read(10)
    start("200 OK", TEXT)
    return [body + b"|" + rest]


def read_pieces(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    pieces = []
    while piece := environ["wsgi.input"].read(7):
        pieces.append(piece)
    start("200 OK", TEXT)
    return [b"|".join(pieces)]


def read_lines(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    source = environ["wsgi.input"]
    first, second, rest = source.readline(), source.readline(3), source.readlines()
    start("200 OK", TEXT)
    return [repr([first, second, *rest]).encode()]


def read_lines_hint(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    lines = environ["wsgi.input"].readlines(4)
    lines += environ["wsgi.input"]
    start("200 OK", TEXT)
    return [repr(lines).encode()]


def iterate(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    lines = list(environ["wsgi.input"])
    start("200 OK", TEXT)
    return [repr(lines).encode()]


def write(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    put = start("200 OK", TEXT)
    put(b"written,")
    put(b"")
    put(b"again,")
    return [b"returned"]


def generator(environ: Environ, start: StartResponse) -> Iterator[bytes]:
    start("200 OK", TEXT)
    try:
        yield b"one,"
        yield b""
        yield b"two"
    finally:
        environ["wsgi.errors"].write(f"generator closed {environ['QUERY_STRING']}\n")


def late_start(environ: Environ, start: StartResponse) -> Iterator[bytes]:
    """A generator calls start_response when its first block is asked for; the first ones may be empty."""
    start("200 OK", TEXT)
    yield b""
    yield b""
    yield b"late"


class WithClose:
    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.blocks = iter([b"a", b"b"])

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks

    def close(self) -> None:
        self.environ["wsgi.errors"].write(f"close called {self.environ['QUERY_STRING']}\n")


def with_close(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return WithClose(environ)


def exc_info(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    try:
        raise ValueError("an error in time")
    except ValueError:
        start("500 Oops", TEXT, sys.exc_info())
    return [b"error page"]


def nothing(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "0")])
    return []


def no_content(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("204 No Content", [])
    return []


def not_modified(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("304 Not Modified", [("ETag", '"x"')])
    return []


def file(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "200000")])
    return environ["wsgi.file_wrapper"](BytesIO(b"f" * 200_000), 4096)


def errors(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.errors"]
    stream.write("first line\n")
    stream.writelines(["second line\n", "third line\n"])
    stream.flush()
    start("200 OK", TEXT)
    return [b"said"]


def fields(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9")])
    return [environ.get("HTTP_X_LATIN", "").encode("latin-1")]


PATHS = {
    f"/{name.__name__}": name
    for name in (
        errors,
        exc_info,
        fields,
        file,
        generator,
        iterate,
        late_start,
        no_content,
        not_modified,
        nothing,
        read_all,
        read_beyond,
        read_lines,
        read_lines_hint,
        read_pieces,
        with_close,
        write,
    )
}


def corners(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    return PATHS[environ["PATH_INFO"]](environ, start)


app = validator(corners)
