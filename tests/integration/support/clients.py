"""The clients of a load, in a process of their own (load.py starts it): ask, check every byte of the answer, ask again.

One thread and a selector drive all of them. Each request has a path of its own, and the application repeats it, so that
an answer which belongs to another request is noticed. What the clients saw goes to standard output, a line of JSON
every 50 ms; the end of standard input makes them finish what they have asked and leave.
"""

import errno
import heapq
import json
import os
import re
import selectors
import socket
import sys
from collections import Counter
from enum import Enum, auto
from itertools import count
from time import monotonic
from typing import Any

BODY = re.compile(rb"(\S+) (\d+) (\S+) (\.*)\n")
"""What the application answers: version, pid, path, and dots up to a length that a short answer cannot have."""
DOTS = 1000
HEAD = re.compile(
    rb"HTTP/1\.1 (?P<status>\d{3}) [^\r\n]*\r\n"
    rb"(?=(?:[^\r\n]+\r\n)*?Content-Length: (?P<length>\d+)\r\n)"
    rb"(?P<fields>(?:[^\r\n]+\r\n)+)\r\n"
)
CLOSES = re.compile(rb"^Connection: close\r$", re.MULTILINE)
NEARLY = 0.8
"""The share of its keep-alive time for which a connection must have been idle before its end is no fault."""
TELL = 0.05
SWEEP = 0.25


class Kind(Enum):
    """How a client uses connections."""

    KEPT = "kept"  # request after request over one connection
    PAUSED = "paused"  # the same, with a pause before each
    ONCE = "once"  # a connection a request


class State(Enum):
    CONNECTING = auto()
    ASKING = auto()
    ENDING = auto()  # the answer has said that the connection closes
    PAUSING = auto()
    GONE = auto()


class Client:
    """One client, and its connection."""

    def __init__(self, crowd: "Crowd", kind: Kind, number: int) -> None:
        self.crowd = crowd
        self.kind = kind
        self.name = f"{kind.value} {number}"
        self.state = State.PAUSING
        self.socket: socket.socket | None = None
        self.seen = b""
        self.requests = 0
        self.served = 0  # over this connection
        self.worker = 0  # who answered over this connection
        self.since = self.idle_since = monotonic()
        self.due = 0.0  # when a pause ends
        closing = "Connection: close\r\n" if kind is Kind.ONCE else ""
        self.form = f"GET /{kind.value}-{number}-%d HTTP/1.1\r\nHost: test\r\n{closing}\r\n"
        self.request = b""

    def ask(self, now: float) -> None:
        """Send the next request, over a new connection if there is none."""
        if self.state is State.PAUSING and self.crowd.stopping:
            self.leave()
            return
        self.requests += 1
        self.request = (self.form % self.requests).encode()
        self.seen = b""
        self.since = now
        self.state = State.ASKING
        if self.socket is None and not self.connect():
            return
        self.send()

    def connect(self) -> bool:
        crowd = self.crowd
        self.served = self.worker = 0
        self.idle_since = monotonic()
        self.socket = socket.socket(crowd.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        code = self.socket.connect_ex(crowd.address)
        crowd.connections += 1
        if code in (0, errno.EINPROGRESS):
            crowd.selector.register(self.socket, selectors.EVENT_READ, self)
            return True
        self.fail("refused" if code in (errno.ECONNREFUSED, errno.ENOENT) else f"not connected: {os.strerror(code)}")
        return False

    def send(self) -> None:
        assert self.socket is not None
        try:
            sent = self.socket.send(self.request)
        except BlockingIOError:
            # Not connected yet; the system says nothing of room in a buffer here, the requests are too small.
            self.state = State.CONNECTING
            self.crowd.selector.modify(self.socket, selectors.EVENT_WRITE, self)
        except OSError as error:
            self.lost(error)
        else:
            if self.state is State.CONNECTING:
                self.crowd.selector.modify(self.socket, selectors.EVENT_READ, self)
            self.state = State.ASKING
            if sent != len(self.request):
                self.fail("only a part of the request could be sent")

    def ready(self) -> None:
        """The socket can be read, or is connected at last."""
        if self.state is State.CONNECTING:
            self.send()
            return
        assert self.socket is not None
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
            return
        if not data:
            self.lost(None)
        elif self.state is not State.ASKING:
            self.fail(f"{len(data)} bytes that no request asked for")
        else:
            self.seen += data
            self.look()

    def look(self) -> None:
        """Check the answer, if it is complete."""
        head = HEAD.match(self.seen)
        if head is None:
            if b"\r\n\r\n" in self.seen:
                self.fail(f"a head that is none, or without a length: {self.seen[:200]!r}")
            return
        if head["status"] != b"200":
            self.fail(f"status {head['status'].decode()}: {self.seen[:300]!r}")
            return
        size = len(self.seen) - head.end() - int(head["length"])
        if size < 0:
            return
        body = BODY.fullmatch(self.seen, head.end())
        path = self.request.split(b" ", 2)[1]
        closes = CLOSES.search(head["fields"]) is not None
        if size > 0:
            self.fail(f"{size} bytes beyond the answer")
        elif body is None or len(body[4]) != DOTS or body[3] != path:
            self.fail(f"wrong body: {self.seen[head.end() :][:200]!r}")
        elif self.kind is Kind.ONCE and not closes:
            self.fail("asked to close, the server did not say that it does")
        else:
            self.seen = b""
            self.served += 1
            self.worker = int(body[2])
            self.idle_since = monotonic()
            self.crowd.answered(self, body[1].decode(), self.idle_since - self.since, closes)
            if closes:
                self.state = State.ENDING
            else:
                self.next()

    def lost(self, error: OSError | None) -> None:
        """The connection ended, by a reset or by an end-of-file."""
        now = monotonic()
        how = "end-of-file" if error is None else errno.errorcode.get(error.errno or 0, str(error))
        if self.state is State.ENDING and error is None:
            self.forget()
            self.next()
            return
        idle = (self.since if self.state is not State.PAUSING else now) - self.idle_since
        expired = self.served > 0 and not self.seen and idle >= NEARLY * self.crowd.keepalive
        if self.state is State.CONNECTING or (error is not None and error.errno == errno.ECONNREFUSED):
            self.fail("refused" if how == "ECONNREFUSED" else f"{how} while connecting")
        elif self.state is State.ENDING:
            self.fail(f"{how} behind a complete answer")
        elif expired:
            self.crowd.expired += 1
            self.forget()
            self.next()
        elif self.state is State.PAUSING:
            self.fail(f"{how} after {idle:.3f} s of idleness")
        elif self.seen:
            self.fail(f"{how} after {len(self.seen)} bytes of an answer")
        else:
            self.fail(f"{how} before an answer")

    def next(self) -> None:
        """After an answer, or a failure: go on, at once or after a pause."""
        crowd = self.crowd
        now = monotonic()
        if crowd.stopping:
            self.leave()
            return
        self.state = State.PAUSING
        if self.kind is Kind.PAUSED:
            crowd.later(self, now + crowd.pause)
        else:
            crowd.later(self, now)

    def fail(self, what: str) -> None:
        crowd = self.crowd
        now = monotonic()
        worker, served = self.worker, self.served
        self.forget()
        if what == "refused" and crowd.leave_when_refused:
            crowd.refused += 1
            self.leave()
            return
        crowd.failed(self, what, now, worker, served)
        if crowd.stopping:
            self.leave()
        else:
            # A server that refuses is not to be asked a million times.
            self.state = State.PAUSING
            crowd.later(self, now + 0.01)

    def leave(self) -> None:
        self.forget()
        self.state = State.GONE
        self.crowd.present -= 1

    def forget(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            if self.socket in self.crowd.selector.get_map():
                self.crowd.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


class Crowd:
    """All clients of this process, and what they saw."""

    def __init__(
        self,
        address: Any,
        kept: int,
        paused: int,
        once: int,
        pause: float,
        keepalive: float,
        patience: float,
        leave_when_refused: bool,
    ) -> None:
        self.family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.address = address if isinstance(address, str) else tuple(address)
        self.pause, self.keepalive, self.patience = pause, keepalive, patience
        self.leave_when_refused = leave_when_refused
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        wanted = [*[Kind.KEPT] * kept, *[Kind.PAUSED] * paused, *[Kind.ONCE] * once]
        self.clients = [Client(self, kind, number) for number, kind in enumerate(wanted)]
        self.present = len(self.clients)
        self.stopping = False
        self.requests = self.connections = self.closings = self.expired = self.refused = 0
        self.versions: Counter[str] = Counter()
        self.workers: Counter[int] = Counter()
        self.longest = (0.0, "")
        self._failures: list[dict[str, Any]] = []
        self._queue: list[tuple[float, int, Client]] = []
        self._order = count()

    def run(self) -> None:
        began = now = monotonic()
        next_tell = next_sweep = now
        for number, client in enumerate(self.clients):
            spread = self.pause * number / len(self.clients) if client.kind is Kind.PAUSED else 0.0
            self.later(client, now + spread)
        while self.present:
            now = monotonic()
            while self._queue and self._queue[0][0] <= now:
                due, _, client = heapq.heappop(self._queue)
                if client.state is State.PAUSING and due == client.due:
                    client.ask(now)
            if now >= next_tell:
                next_tell = now + TELL
                self.tell(now - began)
            if now >= next_sweep:
                next_sweep = now + SWEEP
                self.sweep(now)
            due = self._queue[0][0] if self._queue else next_tell
            for key, _ in self.selector.select(max(0.0, min(due, next_tell) - now)):
                if key.data is None:
                    self.stop()
                elif key.fileobj is key.data.socket:
                    key.data.ready()
        self.tell(monotonic() - began)

    def later(self, client: Client, at: float) -> None:
        client.due = at
        heapq.heappush(self._queue, (at, next(self._order), client))

    def answered(self, client: Client, version: str, seconds: float, closes: bool) -> None:
        self.requests += 1
        self.closings += closes
        self.versions[version] += 1
        self.workers[client.worker] += 1
        if seconds > self.longest[0]:
            self.longest = seconds, client.name

    def failed(self, client: Client, what: str, now: float, worker: int, served: int) -> None:
        self._failures.append(
            {
                "client": client.name,
                "what": what,
                "at": now,
                "waited": now - client.since,
                "request": client.requests,
                "served": served,
                "worker": worker,
            }
        )

    def sweep(self, now: float) -> None:
        for client in self.clients:
            waits = client.state in (State.CONNECTING, State.ASKING, State.ENDING)
            if waits and now - client.since > self.patience:
                client.fail(f"nothing within {self.patience:g} s ({client.state.name.lower()})")

    def stop(self) -> None:
        self.selector.unregister(sys.stdin)
        self.stopping = True
        for client in self.clients:
            if client.state is State.PAUSING:
                client.leave()

    def tell(self, seconds: float) -> None:
        failures, self._failures = self._failures, []
        told = {
            "seconds": seconds,
            "requests": self.requests,
            "connections": self.connections,
            "closings": self.closings,
            "expired": self.expired,
            "refused": self.refused,
            "versions": self.versions,
            "workers": list(self.workers.items()),
            "longest": self.longest,
            "failures": failures,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    Crowd(**json.loads(sys.argv[1])).run()
