"""WebSocket load: wsload.py PORT CONNECTIONS SECONDS.

Each connection sends 64 bytes, awaits the echo, and sends again. A bare uvloop protocol, so that the
client stays cheaper than any server. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import sys
import time

import uvloop

PAYLOAD = bytes(range(33, 97))
MASK = b"\x12\x34\x56\x78"
FRAME = b"\x82\xc0" + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(PAYLOAD))
ECHO = b"\x82\x40" + PAYLOAD
CLOSE = b"\x88\x80" + MASK


class Load:
    """What all connections have measured."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.errors: list[str] = []
        self.over = False


class Client(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self.load, self.buffer, self.open = load, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            self.upgraded()
        elif len(self.buffer) >= len(ECHO):
            self.echoed()

    def upgraded(self) -> None:
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self.fail(f"refused: {head[:80]!r}")
            return
        self.open, self.buffer = True, rest
        self.send()

    def echoed(self) -> None:
        if self.buffer != ECHO:
            self.fail(f"not the echo: {self.buffer[:20]!r}")
            return
        self.buffer = b""
        self.load.took.append(time.perf_counter() - self.sent)
        if self.load.over:
            self.transport.write(CLOSE)
        else:
            self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(FRAME)

    def fail(self, why: str) -> None:
        self.load.errors.append(why)
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.load.over:
            self.load.errors.append(f"lost: {error!r}")


async def main(port: int, connections: int, seconds: float) -> None:
    load, loop = Load(), asyncio.get_running_loop()
    begin = time.perf_counter()
    transports = []
    for _ in range(connections):
        transport, _ = await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
        transports.append(transport)
    await asyncio.sleep(seconds)
    load.over = True
    wall, usage = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    took = sorted(load.took)
    await asyncio.sleep(0.2)
    for transport in transports:
        transport.abort()
    result = {
        "rate": len(took) / wall,
        "requests": len(took),
        "p50": quantile(took, 0.5),
        "p99": quantile(took, 0.99),
        "client_cpu": (usage.ru_utime + usage.ru_stime) / wall,
        "errors": f"{len(load.errors)} x {load.errors[0]}" if load.errors else "",
    }
    print(json.dumps(result))


def quantile(took: list[float], share: float) -> float:
    return took[int(len(took) * share)] * 1000 if took else 0.0


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
