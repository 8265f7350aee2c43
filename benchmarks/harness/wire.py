"""A small HTTP/1.1 client over a connected socket: enough to check an answer before and after it is timed."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import BinaryIO


class WrongAnswer(Exception):
    """The server answered, but not what the workload expects."""


def connect(port: int, timeout: float) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout)


def exchange(
    sock: socket.socket, path: str = "/", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> tuple[int, bytes]:
    """One exchange, read no further than the end of its answer: (status, body)."""
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    with sock.makefile("rb") as file:
        return read_answer(file)


def read_answer(file: BinaryIO) -> tuple[int, bytes]:
    """Status and body of one answer; ConnectionError where the server closed without one."""
    start = file.readline().split()
    if len(start) < 2:
        raise ConnectionError("closed without an answer")
    fields = {}
    while line := file.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        fields[name.lower()] = value.strip()
    if "content-length" in fields:
        body = file.read(int(fields["content-length"]))
    elif fields.get("transfer-encoding", "").lower() == "chunked":
        body = read_chunks(file)
    else:
        body = file.read()
    return int(start[1]), body


def read_chunks(file: BinaryIO) -> bytes:
    body = []
    while size := int(file.readline(), 16):
        body.append(file.read(size))
        file.readline()
    file.readline()
    return b"".join(body)


def still_open(sock: socket.socket) -> bool:
    """Whether the server has kept an idle connection."""
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
