"""A measuring sketch: one thread, epoll, httptools, WSGI called inline. A speed, not a design to copy.

A turn has three phases: read and parse all that is ready, run the application for each, send the answers
together, at the latest 0.5 ms after the first.

wsgi_sync.py PORT [now]     now: send each answer at once
"""

import select
import sys
from time import monotonic

from wsgi_common import accept, listen

HOLD = -1 if sys.argv[2:] == ["now"] else 0.0005


class Server:
    def __init__(self, port):
        self.listener = listen(port)
        self.epoll = select.epoll()
        self.epoll.register(self.listener.fileno(), select.EPOLLIN)
        self.connections = {}
        self.held = []  # (connection, answer)
        self.since = 0.0  # when the first of them was ready

    def release(self):
        for connection, data in self.held:
            connection.send(data)
        self.held.clear()

    def handle(self, connection, request):
        """Run one request; its answer is held or sent with those held. Whether the connection stays."""
        keep = request[4]
        data, blocks = connection.run(request)
        if blocks is not None:
            self.release()
            return connection.stream(data, blocks) and keep
        now = monotonic()
        if not self.held:
            self.since = now
        self.held.append((connection, data))
        if now - self.since > HOLD or not keep:
            self.release()
        return keep

    def accept(self):
        for connection in accept(self.listener):
            fd = connection.sock.fileno()
            self.connections[fd] = connection
            self.epoll.register(fd, select.EPOLLIN)

    def close(self, fd):
        self.epoll.unregister(fd)
        self.connections.pop(fd).sock.close()

    def take_in(self, turn):
        """Read and parse all that one poll finds ready."""
        listener = self.listener.fileno()
        for fd, _ in self.epoll.poll():
            if fd == listener:
                self.accept()
                continue
            connection = self.connections[fd]
            try:
                data = connection.sock.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self.close(fd)
                continue
            connection.parser.feed_data(data)
            if connection.ready:
                turn.append((fd, connection))

    def run(self):
        turn = []
        while True:
            self.take_in(turn)
            for fd, connection in turn:
                ready, connection.ready = connection.ready, []
                for request in ready:
                    if not self.handle(connection, request):
                        self.close(fd)
                        break
            turn.clear()
            self.release()


Server(int(sys.argv[1])).run()
