"""A measuring sketch of the ASGI hot path, without limits, validation, timeouts: no design to copy.

It accepts by itself and keeps its own small transport on the loop's readiness callbacks (a raw
non-blocking socket, send at once, a writer callback only for what did not fit), which on uvloop beats
uvloop's own streams, and on plain asyncio by far. A turn of the loop has three phases: read and parse all
that is ready; run the applications, each as an eagerly started task, so that one which never really waits
costs no scheduling (Python 3.12 and newer; a plain task before); send the small answers together, at the
latest 0.5 ms after the first. Against read-run-send for each (now) the client wakes once for all, and the
caches stay warm for the applications. A server must stop holding answers while the application has lately
been slow, since a held answer waits for whatever runs next.

asgi.py PORT [raw|asyncio|streams|now]
    raw (default): own transport on uvloop; asyncio: own transport on asyncio; streams: uvloop's transport;
    now: raw without turns
"""

import asyncio
import socket
import sys
from asyncio import Task
from collections import deque
from email.utils import formatdate
from pathlib import Path
from time import monotonic
from urllib.parse import unquote

import httptools
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import apps

KIND = sys.argv[2] if len(sys.argv) > 2 else "raw"
TURNS = KIND != "now"
EAGER = {"eager_start": True} if sys.version_info >= (3, 12) else {}
HOLD = 0.0005
LARGE = 16384  # an answer from here on is sent at once
STATUS = {code: b"HTTP/1.1 %d OK\r\n" % code for code in range(100, 600)}
FIXED = b"server: unicorn\r\ndate: " + formatdate(usegmt=True).encode() + b"\r\n"
METHODS = {name.encode(): name for name in ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH")}
ASGI = {"version": "3.0", "spec_version": "2.4"}
STATE = {}
READY = []  # cycles that this turn of the loop has read
TASKS = set()
HELD = []  # (transport, answer) in the order in which they were ready


class Held:
    since = 0.0  # when the first of HELD was ready


class Cycle:
    """One request and its answer."""

    __slots__ = (
        "body",
        "chunked",
        "disconnected",
        "done",
        "headers",
        "keep",
        "more",
        "protocol",
        "scope",
        "started",
        "status",
        "transport",
        "waiter",
    )

    def __init__(self, protocol, scope, keep):
        self.protocol = protocol
        self.scope = scope
        self.transport = protocol.transport
        self.keep = keep
        self.started = self.done = self.disconnected = self.chunked = False
        self.body = b""
        self.more = True
        self.waiter = self.headers = None
        self.status = 200

    async def run(self, app):
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException:
            self.transport.close()
            raise
        else:
            if not self.done:
                self.transport.close()

    async def receive(self):
        if not self.body and self.more and not self.disconnected:
            self.waiter = self.protocol.loop.create_future()
            await self.waiter
            self.waiter = None
        if self.disconnected or self.done:
            return {"type": "http.disconnect"}
        body = self.body
        self.body = b""
        return {"type": "http.request", "body": body, "more_body": self.more}

    def wake(self):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)

    async def send(self, message):
        protocol = self.protocol
        if protocol.drained is not None:
            await protocol.drained
        kind = message["type"]
        if not self.started:
            if kind != "http.response.start":
                raise RuntimeError(kind)
            self.status = message["status"]
            self.headers = message.get("headers", ())
            self.started = True
            return
        if kind != "http.response.body" or self.done:
            raise RuntimeError(kind)
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if self.headers is not None:
            self.transport.write(self.first(body, more))
        elif not self.chunked:
            self.transport.write(body)
        elif body:
            end = b"\r\n" if more else b"\r\n0\r\n\r\n"
            self.transport.writelines((b"%x\r\n" % len(body), body, end))
        elif not more:
            self.transport.write(b"0\r\n\r\n")
        if not more:
            self.done = True
            if not self.keep:
                self.transport.close()

    def first(self, body, more):
        """The head and what there is of the body, as one piece."""
        out = [STATUS[self.status], FIXED]
        chunked = True
        for name, value in self.headers:
            if name == b"content-length":
                chunked = False
            elif name == b"connection" and value.lower() == b"close":
                self.keep = False
            out.append(b"%b: %b\r\n" % (name, value))
        self.headers = None
        if not self.keep:
            out.append(b"connection: close\r\n")
        if chunked and not more:
            out.append(b"content-length: %d\r\n" % len(body))
            chunked = False
        elif chunked:
            out.append(b"transfer-encoding: chunked\r\n")
        self.chunked = chunked
        out.append(b"\r\n")
        if not chunked:
            out.append(body)
        elif body:
            out.append(b"%x\r\n%b\r\n" % (len(body), body))
        return b"".join(out)


def turn():
    """Run what this turn of the loop has read."""
    global READY
    ready = READY
    READY = []
    loop, app = ready[0].protocol.loop, apps.asgi
    for cycle in ready:
        task = Task(cycle.run(app), loop=loop, **EAGER)
        if not task.done():
            TASKS.add(task)
            task.add_done_callback(TASKS.discard)
    if HELD:
        release()


def release():
    held = HELD[:]
    HELD.clear()
    for transport, data in held:
        transport.send(data)


class Protocol(asyncio.Protocol):
    """Parses one connection's requests and starts a cycle for each."""

    __slots__ = ("base", "cycle", "drained", "headers", "loop", "parser", "target", "transport")

    def __init__(self, loop):
        self.loop = loop
        self.cycle = self.drained = None

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.base = {
            "type": "http",
            "asgi": ASGI,
            "http_version": "1.1",
            "server": transport.get_extra_info("sockname"),
            "client": transport.get_extra_info("peername"),
            "scheme": "http",
            "method": "GET",
            "root_path": "",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "headers": (),
            "state": None,
        }

    def connection_lost(self, error):
        cycle = self.cycle
        if cycle and not cycle.done:
            cycle.disconnected = True
            cycle.wake()

    def pause_writing(self):
        self.drained = self.loop.create_future()

    def resume_writing(self):
        drained, self.drained = self.drained, None
        if not drained.done():
            drained.set_result(None)

    def data_received(self, data):
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self):
        self.headers = []
        self.target = b""

    def on_url(self, data):
        self.target += data

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_headers_complete(self):
        parser = self.parser
        raw, _, query = self.target.partition(b"?")
        path = raw.decode("ascii")
        if "%" in path:
            path = unquote(path)
        scope = self.base.copy()
        scope["method"] = METHODS[parser.get_method()]
        scope["path"] = path
        scope["raw_path"] = raw
        scope["query_string"] = query
        scope["headers"] = self.headers
        scope["state"] = STATE.copy()
        self.cycle = Cycle(self, scope, parser.should_keep_alive())

    def on_body(self, data):
        cycle = self.cycle
        cycle.body += data
        cycle.wake()

    def on_message_complete(self):
        cycle = self.cycle
        cycle.more = False
        if cycle.waiter is not None:
            cycle.wake()
        elif TURNS:
            if not READY:
                self.loop.call_soon(turn)
            READY.append(cycle)
        else:
            task = Task(cycle.run(apps.asgi), loop=self.loop)
            TASKS.add(task)
            task.add_done_callback(TASKS.discard)


class Transport:
    """A non-blocking socket on the loop's readiness callbacks."""

    __slots__ = ("closing", "fd", "held", "loop", "names", "out", "protocol", "sock")

    def __init__(self, sock, loop, protocol, names):
        self.sock = sock
        self.fd = sock.fileno()
        self.loop = loop
        self.protocol = protocol
        self.names = names
        self.closing = self.held = False
        self.out = None  # what did not fit

    def get_extra_info(self, name):
        return self.names[name == "sockname"]

    def ready(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.protocol.data_received(data)
        else:
            self.abort()

    def write(self, data):
        if self.held:
            release()
        if not TURNS or self.out is not None or len(data) > LARGE:
            self.send(data)
            return
        now = monotonic()
        if not HELD:
            Held.since = now
            if not READY:
                self.loop.call_soon(release)
        HELD.append((self, data))
        self.held = True
        if now - Held.since > HOLD:
            release()

    def send(self, data):
        self.held = False
        if self.fd < 0:
            return
        if self.out is not None:
            self.out.append(data)
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return
        if sent != len(data):
            self.keep(memoryview(data)[sent:])

    def writelines(self, parts):
        if self.held:
            release()
        if self.out is not None:
            self.out.extend(parts)
            return
        try:
            sent = self.sock.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return
        for index, part in enumerate(parts):
            if sent < len(part):
                self.keep(memoryview(part)[sent:])
                self.out.extend(parts[index + 1 :])
                return
            sent -= len(part)

    def keep(self, rest):
        self.out = deque((rest,))
        self.loop.add_writer(self.fd, self.flush)
        self.protocol.pause_writing()

    def flush(self):
        out = self.out
        while out:
            data = out[0]
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return
            except OSError:
                self.abort()
                return
            if sent != len(data):
                out[0] = memoryview(data)[sent:]
                return
            out.popleft()
        self.out = None
        self.loop.remove_writer(self.fd)
        self.protocol.resume_writing()
        if self.closing:
            self.abort()

    def close(self):
        if self.held:
            release()
        self.closing = True
        if self.out is None:
            self.abort()

    def abort(self):
        if self.fd < 0:
            return
        if self.out is not None:
            self.loop.remove_writer(self.fd)
            self.out = None
        self.loop.remove_reader(self.fd)
        self.sock.close()
        self.fd = -1
        self.protocol.connection_lost(None)


async def main(port):
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
    listener.setblocking(False)
    if KIND == "streams":
        server = await loop.create_server(lambda: Protocol(loop), sock=listener, backlog=2048)
        await server.serve_forever()
    name = listener.getsockname()

    def accept():
        for _ in range(64):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            protocol = Protocol(loop)
            transport = Transport(sock, loop, protocol, (peer, name))
            protocol.connection_made(transport)
            loop.add_reader(transport.fd, transport.ready)
            transport.ready()  # the request is often there already

    loop.add_reader(listener.fileno(), accept)
    await asyncio.Event().wait()


(asyncio if KIND == "asyncio" else uvloop).run(main(int(sys.argv[1])))
