"""The workloads: what is asked, by how many connections, and the check that the answer is right."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field, replace

from .wire import WrongAnswer, connect, exchange

HELLO = b"Hello, world!"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8,fr;q=0.7",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Cookie": "sessionid=0123456789abcdef0123456789abcdef; csrftoken=fedcba9876543210fedcba98765432; "
    "theme=dark; consent=1",
    "DNT": "1",
    "Referer": "https://www.example.com/catalogue/books?page=3&sort=price",
    "Origin": "https://www.example.com",
    "Sec-CH-UA": '"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"',
    "Sec-CH-UA-Mobile": "?0",
    "Sec-CH-UA-Platform": '"Linux"',
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Upgrade-Insecure-Requests": "1",
    "X-Requested-With": "XMLHttpRequest",
    "If-None-Match": '"5d8c72a5edda8d6a:3239"',
}
GREETING = {"message": "Hello, world!"}
DOCUMENT = GREETING | {"agent": BROWSER["User-Agent"], "language": BROWSER["Accept-Language"]}
DEPTH = 16  # of a pipeline
POST_SCRIPT = 'wrk.method = "POST"\nwrk.body = string.rep("z", 65536)\n'
# A server may remember the fields that a connection sent before; here they never come again.
VARIED_SCRIPT = """local n = 0
request = function()
  n = n + 1
  wrk.headers["X-Request-ID"] = tostring(n)
  return wrk.format()
end
"""
PIPELINE_SCRIPT = f"""init = function(args)
  local requests = {{}}
  for i = 1, {DEPTH} do requests[i] = wrk.format("GET", "/") end
  batch = table.concat(requests)
end
request = function() return batch end
"""


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    path: str = "/"
    expected: bytes | dict[str, str] = HELLO  # the body, or the JSON document in it
    connections: int = 64
    threads: int | None = None  # of a threaded server; None: what --threads says
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    script: str = ""  # Lua for wrk
    kinds: tuple[str, ...] = ("wsgi", "asgi")
    package: str = ""  # the framework that the application needs
    beside: tuple[int, str] | None = None  # (connections, path): further load at the same time, not counted

    @property
    def closes(self) -> bool:
        return self.headers.get("Connection") == "close"

    @property
    def pipelined(self) -> bool:
        return self.name == "pipeline"

    def check(self, port: int) -> None:
        """WrongAnswer (or OSError) unless the server on this port answers the workload rightly."""
        if self.name == "websocket":
            return  # the load client compares every echo
        with connect(port, timeout=10) as sock:
            if self.pipelined:
                check_pipeline(sock)
                return
            verify(self.expected, *exchange(sock, self.path, self.headers, self.body))
            if self.closes and sock.recv(1) != b"":
                raise WrongAnswer("the connection was left open")


def verify(expected: bytes | dict[str, str], status: int, body: bytes) -> None:
    if status != 200:
        raise WrongAnswer(f"status {status}")
    if isinstance(expected, bytes):
        right = body == expected
    else:
        try:
            right = json.loads(body) == expected
        except ValueError:
            right = False
    if not right:
        raise WrongAnswer(f"{len(body)} bytes that are not the answer: {body[:40]!r}")


def check_pipeline(sock: socket.socket) -> None:
    """Sixteen requests in one write must give sixteen answers."""
    sock.settimeout(5)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * DEPTH)
    got = b""
    while got.count(HELLO) < DEPTH:
        data = sock.recv(65536)
        if not data:
            raise WrongAnswer(f"closed after {got.count(HELLO)} of {DEPTH} pipelined answers")
        got += data
    if got.count(b"HTTP/1.1 200") != DEPTH:
        raise WrongAnswer(f"not {DEPTH} answers: {got[:40]!r}")


def greeting(name: str, title: str, kind: str) -> Workload:
    """The JSON hello of a framework."""
    return Workload(
        name,
        f"GET, JSON hello from {title}, 20 browser headers",
        f"/{name}",
        GREETING,
        headers=BROWSER,
        kinds=(kind,),
        package=name,
    )


WORKLOADS = {
    work.name: work
    for work in (
        Workload("hello", "GET, 13 bytes, keep-alive"),
        Workload("10k", "GET, 10 KiB", "/10k", b"x" * 10240),
        Workload("json", "GET, JSON, 20 browser headers", "/json", DOCUMENT, headers=BROWSER),
        Workload(
            "post",
            "POST 64 KiB, length echoed",
            "/echo",
            b"65536",
            connections=32,
            body=b"z" * 65536,
            script=POST_SCRIPT,
        ),
        Workload("stream", "GET, 1 MiB in chunks of 64 KiB", "/stream", b"y" * 1048576, connections=16),
        Workload("pipeline", f"GET, 13 bytes, pipelined {DEPTH} deep", script=PIPELINE_SCRIPT),
        Workload("close", "GET, 13 bytes, Connection: close", headers={"Connection": "close"}),
        Workload("varied", "GET, 13 bytes, a field that is another one each time", script=VARIED_SCRIPT),
        greeting("flask", "Flask", "wsgi"),
        replace(
            greeting("flask", "Flask", "wsgi"),
            name="flask-varied",
            title="GET, JSON hello from Flask, 20 browser headers and one that is another one each time",
            script=VARIED_SCRIPT,
        ),
        greeting("django", "Django", "wsgi"),
        greeting("starlette", "Starlette", "asgi"),
        greeting("fastapi", "FastAPI", "asgi"),
        Workload("websocket", "echo of 64-byte binary messages", kinds=("asgi",)),
        Workload(
            "mixed",
            "GET, 13 bytes, while 4 connections ask for what sleeps 10 ms",
            connections=32,
            threads=32,
            beside=(4, "/sleep"),
        ),
        Workload("sleep", "the application sleeps 10 ms", "/sleep", connections=128, threads=32),
    )
}
