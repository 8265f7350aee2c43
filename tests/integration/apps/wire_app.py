"""A WSGI application with a path for everything that PEP 3333 allows or forbids.

`/gate?FILE` and its like write FILE.begun and go on once FILE exists, so that a test decides what happens when.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]
TEXT = [("Content-Type", "text/plain")]
LONGEST_WAIT = 20.0

closed: Counter[str] = Counter()


class Closing:
    """An iterable that counts how often it is closed, under the query string of its request."""

    def __init__(self, name: str, blocks: Iterable[Any]) -> None:
        self.name = name
        self.blocks = iter(blocks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = next(self.blocks)
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self) -> None:
        closed[self.name] += 1


def wait_for_file(name: str) -> None:
    path = Path(name)
    path.with_name(path.name + ".begun").touch()
    until = time.monotonic() + LONGEST_WAIT
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(name)
        time.sleep(0.005)


def hello(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello"]


def pid(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [str(os.getpid()).encode()]


def echo(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start("200 OK", TEXT)
    return [body]


def size(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    total = 0
    while piece := environ["wsgi.input"].read(65536):
        total += len(piece)
    start("200 OK", TEXT)
    return [str(total).encode()]


def unread(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [b"not read"]


def half_read(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(3)
    start("200 OK", TEXT)
    return [body]


def read_late(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """Reads the body after the first block has gone out."""
    start("200 OK", TEXT)
    yield b"first,"
    yield environ["wsgi.input"].read()


def gate(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    wait_for_file(environ["QUERY_STRING"])
    start("200 OK", TEXT)
    return [b"through"]


def gate_between_blocks(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    yield b"first"
    wait_for_file(environ["QUERY_STRING"])
    yield b"second"


def gate_after_write(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    write = start("200 OK", TEXT)
    write(b"written")
    wait_for_file(environ["QUERY_STRING"])
    return [b"returned"]


def file(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """`/file?PATH|OFFSET|LENGTH`: a file from an offset on; LENGTH is declared if it is given."""
    name, offset, length = environ["QUERY_STRING"].split("|")
    source = Path(name).open("rb")  # noqa: SIM115
    source.seek(int(offset))
    start("200 OK", [*TEXT, ("Content-Length", length)] if length else TEXT)
    return environ["wsgi.file_wrapper"](source, 4096)


def pipe(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """A file object with a descriptor that no sendfile() takes."""
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    start("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))


def blocks(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [b"one,", b"", b"two,", b"three"]


def nothing(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return []


def big(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [b"x" * int(environ["QUERY_STRING"])]


def big_stream(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    for _ in range(int(environ["QUERY_STRING"]) // 65536):
        yield b"x" * 65536


def declared(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """`/declared?LENGTH`: four blocks of four bytes under a declared length."""
    start("200 OK", [*TEXT, ("Content-Length", environ["QUERY_STRING"])])
    return iter([b"aaaa", b"bbbb", b"cccc", b"dddd"])


def status_with_body(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """`/status?204`: a body although there must be none."""
    start(environ["QUERY_STRING"] + " Whatever", TEXT)
    return iter([b"this must", b" not be sent"])


def closing(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    name = environ["QUERY_STRING"]
    start("200 OK", TEXT)
    kind = name.split("-")[0]
    if kind == "normal":
        return Closing(name, [b"one,", b"two"])
    if kind == "empty":
        return Closing(name, [])
    if kind == "raises":
        return Closing(name, [b"one,", RuntimeError("while iterating")])
    if kind == "raisesfirst":
        return Closing(name, [RuntimeError("before a block")])
    if kind == "wrongtype":
        return Closing(name, [b"one,", "text"])
    if kind == "exits":
        return Closing(name, [b"one,", SystemExit(3)])
    return Closing(name, (b"x" * 65536 for _ in range(1 << 20)))  # endless, as far as a test can tell


def closing_badly(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    class Bad(list[bytes]):
        def close(self) -> None:
            raise RuntimeError("a fault in close()")

    start("200 OK", [*TEXT, ("Content-Length", "8")])
    return Bad([b"answered"])


def how_often_closed(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [str(closed[environ["QUERY_STRING"]]).encode()]


def raises(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("before start_response " + environ["QUERY_STRING"])


def raises_after_start(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("X-Secret", "of the failed response")])
    raise RuntimeError("after start_response " + environ["QUERY_STRING"])


def raises_later(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    yield b"begun"
    raise RuntimeError("after the first block " + environ["QUERY_STRING"])


def raises_within_length(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "10")])
    yield b"begun"
    raise RuntimeError("within the declared length " + environ["QUERY_STRING"])


def replaces(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """An error page by exc_info, before anything was sent."""
    import sys

    start("200 OK", [*TEXT, ("X-First", "yes")])
    try:
        raise ValueError("noticed in time")
    except ValueError:
        start("503 Later", TEXT, sys.exc_info())
    return [b"an error page"]


def replaces_too_late(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    import sys

    start("200 OK", TEXT)
    yield b"begun"
    try:
        raise ValueError("noticed too late " + environ["QUERY_STRING"])
    except ValueError:
        start("503 Later", TEXT, sys.exc_info())
    yield b"never sent"


def starts_twice(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    start("200 OK", TEXT)
    return [b"never sent"]


def never_starts(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    return [b"never sent"]


def returns_none(environ: Environ, start: StartResponse) -> Any:
    start("200 OK", TEXT)


INJECTIONS: dict[str, tuple[str, list[tuple[Any, Any]]]] = {
    "value-crlf": ("200 OK", [("X-A", "x\r\nEvil: yes")]),
    "value-lf": ("200 OK", [("X-A", "x\nEvil: yes")]),
    "value-cr": ("200 OK", [("X-A", "x\rEvil: yes")]),
    "value-nul": ("200 OK", [("X-A", "x\0Evil: yes")]),
    "value-end": ("200 OK", [("X-A", "x\r\n\r\nEvil: yes")]),
    "name-crlf": ("200 OK", [("X-A\r\nEvil", "yes")]),
    "name-colon": ("200 OK", [("Evil: yes, X", "a")]),
    "name-empty": ("200 OK", [("", "Evil")]),
    "name-space": ("200 OK", [("Evil one", "a")]),
    "status-crlf": ("200 OK\r\nEvil: yes", []),
    "status-lf": ("200 OK\nEvil: yes", []),
    "status-word": ("Evil", []),
    "status-100": ("100 Evil", []),
    "wide-value": ("200 OK", [("X-A", "Evil \u4e2d")]),
    "bytes-value": ("200 OK", [("X-A", b"Evil")]),
    "length-word": ("200 OK", [("Content-Length", "Evil")]),
    "length-twice": ("200 OK", [("Content-Length", "4"), ("Content-Length", "5"), ("X-A", "Evil")]),
    "length-negative": ("200 OK", [("Content-Length", "-1"), ("X-A", "Evil")]),
}


def injects(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    status, fields = INJECTIONS[environ["QUERY_STRING"]]
    start(status, fields)
    return [b"Evil"]


def hop_by_hop(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    names = (
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailers",
        "Transfer-Encoding",
        "Upgrade",
        "Server",
        "Date",
    )
    start("200 OK", [*TEXT, *[(name, "from the application") for name in names], ("X-Kept", "yes")])
    return [b"hello"]


EXITS: dict[str, BaseException] = {
    "SystemExit": SystemExit(7),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "GeneratorExit": GeneratorExit(),
}


def leaves(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    raise EXITS[environ["QUERY_STRING"]]


def leaves_later(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    yield b"begun"
    raise EXITS[environ["QUERY_STRING"]]


def dies(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    os._exit(int(environ["QUERY_STRING"]))


def environ_of(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [repr({key: value for key, value in environ.items() if isinstance(value, str | bool | tuple)}).encode()]


def complains(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    environ["wsgi.errors"].write(f"a complaint about {environ['QUERY_STRING']}\n")
    environ["wsgi.errors"].flush()
    start("200 OK", TEXT)
    return [b"complained"]


PATHS: dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    "/big": big,
    "/big-stream": big_stream,
    "/blocks": blocks,
    "/closed": how_often_closed,
    "/closing": closing,
    "/closing-badly": closing_badly,
    "/complains": complains,
    "/declared": declared,
    "/dies": dies,
    "/echo": echo,
    "/environ": environ_of,
    "/file": file,
    "/gate": gate,
    "/gate-after-write": gate_after_write,
    "/gate-between-blocks": gate_between_blocks,
    "/half-read": half_read,
    "/hello": hello,
    "/hop-by-hop": hop_by_hop,
    "/injects": injects,
    "/leaves": leaves,
    "/leaves-later": leaves_later,
    "/never-starts": never_starts,
    "/nothing": nothing,
    "/pid": pid,
    "/pipe": pipe,
    "/raises": raises,
    "/raises-after-start": raises_after_start,
    "/raises-later": raises_later,
    "/raises-within-length": raises_within_length,
    "/read-late": read_late,
    "/replaces": replaces,
    "/replaces-too-late": replaces_too_late,
    "/returns-none": returns_none,
    "/size": size,
    "/starts-twice": starts_twice,
    "/status": status_with_body,
    "/unread": unread,
}


def app(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    return PATHS[environ["PATH_INFO"]](environ, start)
