"""A measuring sketch of the dispatcher, one asyncio.Queue and consumer a task worker: no design to copy.

Raw sockets on readiness callbacks; a fixed frame head; the payload stays opaque to the dispatcher; the
answer goes to the client from the reader callback; DEPTH 2 has the next request at the worker before it
is done with this one.

DEPTH=1|2 dispatcher.py CLIENTS SECONDS noop|nap [uvloop]
"""

import asyncio
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

import msgspec

HEAD = struct.Struct("<IQ")  # length of the payload, id
DEPTH = int(os.environ.get("DEPTH", "2"))
WORKERS = 4
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


def noop():
    return None


TASKS = {"noop": noop, "nap": time.sleep}


class Connection:
    """Frames over a non-blocking socket; each is handed to a callback."""

    __slots__ = ("buffer", "loop", "on_frame", "sock")

    def __init__(self, sock, loop, on_frame):
        self.sock = sock
        self.loop = loop
        self.on_frame = on_frame
        self.buffer = b""
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self.ready)

    def ready(self):
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        if not data:
            self.loop.remove_reader(self.sock.fileno())
            self.sock.close()
            return
        if self.buffer:
            data = self.buffer + data
        at, end = 0, len(data)
        while end - at >= HEAD.size:
            size, number = HEAD.unpack_from(data, at)
            if end - at - HEAD.size < size:
                break
            start, at = at + HEAD.size, at + HEAD.size + size
            self.on_frame(self, number, data[start:at])
        self.buffer = data[at:] if at < end else b""

    def send(self, number, payload):
        self.sock.send(HEAD.pack(len(payload), number) + payload)


class Worker:
    """A task worker as the dispatcher sees it: its queue, and what it has in hand."""

    def __init__(self, sock, loop, index):
        self.queue = asyncio.Queue()
        self.connection = Connection(sock, loop, self.reply)
        self.index = index
        self.load = 0
        self.waiting = {}  # id -> what takes the answer
        self.room = None
        self.loop = loop

    def reply(self, connection, number, payload):
        self.load -= 1
        done = self.waiting.pop(number)
        if self.room is not None:
            room, self.room = self.room, None
            room.set_result(None)
        done(payload)

    async def consume(self):
        number = 0
        while True:
            payload, done = await self.queue.get()
            while len(self.waiting) >= DEPTH:
                self.room = self.loop.create_future()
                await self.room
            number += 1
            self.waiting[number] = done
            self.connection.send(number, payload)


class Dispatcher:
    def __init__(self, path, loop, socks):
        self.workers = [Worker(sock, loop, index) for index, sock in enumerate(socks)]
        self.tasks = [loop.create_task(worker.consume()) for worker in self.workers]
        self.loop = loop
        self.next = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1024)
        self.listener.setblocking(False)
        loop.add_reader(self.listener.fileno(), self.accept)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            Connection(sock, self.loop, self.request)

    def request(self, client, number, payload):
        """Queue it at the least loaded worker, in turn among equals."""
        workers = self.workers
        best = workers[self.next]
        for step in range(1, len(workers)):
            worker = workers[(self.next + step) % len(workers)]
            if worker.load < best.load:
                best = worker
        self.next = (best.index + 1) % len(workers)
        best.load += 1
        best.queue.put_nowait((payload, lambda answer: client.send(number, answer)))


def work(sock):
    """A task worker's process."""
    sock.setblocking(True)
    buffer = b""
    while data := sock.recv(262144):
        buffer += data
        while len(buffer) >= HEAD.size:
            size, number = HEAD.unpack_from(buffer)
            end = HEAD.size + size
            if len(buffer) < end:
                break
            name, arguments = decode(buffer[HEAD.size : end])
            buffer = buffer[end:]
            answer = encode(TASKS[name](*arguments))
            sock.send(HEAD.pack(len(answer), number) + answer)
    os._exit(0)


def dispatch(path, with_uvloop):
    """The dispatcher's process and its task workers."""
    socks = []
    for _ in range(WORKERS):
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            for sock in (ours, *socks):
                sock.close()
            work(theirs)
        theirs.close()
        socks.append(ours)

    async def main():
        dispatcher = Dispatcher(path, asyncio.get_running_loop(), socks)
        await asyncio.gather(*dispatcher.tasks)

    if with_uvloop:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


def client(path, until, request, took):
    """One request after the other over one connection."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    clock = time.perf_counter
    number = 0
    while clock() < until:
        number += 1
        begin = clock()
        sock.send(HEAD.pack(len(request), number) + request)
        answer = sock.recv(65536)
        took.append(clock() - begin)
        if HEAD.unpack_from(answer)[1] != number:
            raise RuntimeError("the answer to another request")
        decode(answer[HEAD.size :])
    sock.close()


def await_path(path):
    """Until the dispatcher listens."""
    until = time.monotonic() + 10
    while not os.path.exists(path):
        if time.monotonic() > until:
            raise TimeoutError("the dispatcher did not start")
        time.sleep(0.01)
    time.sleep(0.2)


def measure(path, clients, seconds, kind):
    """(requests a second, seconds that each took, sorted)."""
    request = encode([kind, [0.01] if kind == "nap" else []])
    took = []
    begin = time.perf_counter()
    threads = [threading.Thread(target=client, args=(path, begin + seconds, request, took)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / (time.perf_counter() - begin), sorted(took)


def main(clients, seconds, kind, with_uvloop):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "dispatcher")
        pid = os.fork()
        if pid == 0:
            os.setsid()
            try:
                dispatch(path, with_uvloop)
            finally:
                os._exit(1)
        try:
            await_path(path)
            rate, took = measure(path, clients, seconds, kind)
        finally:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    loop = "uvloop" if with_uvloop else "asyncio"
    print(f"{kind}, {clients} clients, {loop}: {rate:.0f}/s p50 {p50:.3f} ms p99 {p99:.2f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], len(sys.argv) > 4)
