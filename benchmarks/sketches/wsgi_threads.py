"""A measuring sketch: Leader/Followers threads over one epoll. It shows a speed, not a design to copy.

always: the leader hands leadership on before each call of the application. adaptive: only while the
application has lately been slow. deputy: adaptive, and a deputy takes leadership from a leader who is
stuck in the application. The right to lead lies as a token in a deque while the leader is in there; who
pops it has it (atomic, no lock on the fast path). While all is idle the deputy sleeps without a time
limit. A deputy-mode leader holds the answers of fast requests and lets them leave together, at the latest
0.5 ms after the first; a connection is armed again only after its answer left; a new leader first sends
what the stuck one held, and nothing is held for 50 ms after that.

wsgi_threads.py PORT always|adaptive|deputy THREADS
"""

import select
import sys
import threading
from collections import deque
from time import monotonic

from wsgi_common import accept, listen

PATIENCE = 0.003  # seconds that a leader may be in the application before the deputy takes over
SLOW = 0.0005  # a mean call above it counts as slow
HOLD = 0.0005
NO_HOLD = 0.05  # seconds without holding after a deputy took over
ONCE = select.EPOLLIN | select.EPOLLONESHOT


class Server:
    def __init__(self, port):
        self.listener = listen(port)
        self.listener_fd = self.listener.fileno()
        self.epoll = select.epoll()
        self.epoll.register(self.listener_fd, select.EPOLLIN)
        self.connections = {}
        self.pending = deque()  # descriptors that are ready
        self.lead = threading.Lock()
        self.crew = threading.Lock()  # who holds it is the deputy
        self.token = deque()
        self.mean = 0.0  # of a call of the application, lately
        self.since = 0.0  # when the leader went into the application
        self.idle = False
        self.awake = threading.Event()
        self.held = []  # (connection, answer)
        self.first = 0.0  # when the first of them was ready
        self.hold_from = 0.0

    def release(self):
        held, self.held = self.held, []
        for connection, data in held:
            connection.send(data)
            self.epoll.modify(connection.sock.fileno(), ONCE)

    def accept(self):
        for connection in accept(self.listener):
            fd = connection.sock.fileno()
            self.connections[fd] = connection
            self.epoll.register(fd, ONCE)

    def gather(self, events):
        for fd, _ in events:
            if fd == self.listener_fd:
                self.accept()
            else:
                self.pending.append(fd)

    def serve(self, fd, lead=False):
        connection = self.connections[fd]
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            self.epoll.modify(fd, ONCE)
            return
        except OSError:
            data = b""
        if data:
            connection.parser.feed_data(data)
            ready, connection.ready = connection.ready, []
            may_hold = lead and len(ready) == 1
            for request in ready:
                data, blocks = connection.run(request)
                if blocks is not None:
                    if not connection.stream(data, blocks):
                        break
                elif may_hold and request[4] and self.hold(connection, data):
                    return
                else:
                    connection.send(data)
                if not request[4]:
                    break
            else:
                self.epoll.modify(fd, ONCE)
                return
        del self.connections[fd]
        self.epoll.unregister(fd)
        connection.sock.close()

    def hold(self, connection, data):
        """Keep the answer of a leader for later; False where it must go at once."""
        if not self.token:  # leadership was taken meanwhile
            return False
        now = monotonic()
        if now <= self.hold_from:
            return False
        if not self.held:
            self.first = now
        self.held.append((connection, data))
        return True

    def serve_timed(self, fd):
        begin = monotonic()
        self.serve(fd)
        self.mean += (monotonic() - begin - self.mean) * 0.1

    def always(self):
        while True:
            self.lead.acquire()
            while not self.pending:
                self.gather(self.epoll.poll())
            fd = self.pending.popleft()
            self.lead.release()
            self.serve(fd)

    def adaptive(self):
        while True:
            self.lead.acquire()
            while True:
                while not self.pending:
                    self.gather(self.epoll.poll())
                fd = self.pending.popleft()
                if self.mean > SLOW:
                    self.lead.release()
                    self.serve_timed(fd)
                    break
                self.serve_timed(fd)

    def follow(self):
        """Wait until leadership is handed on, or the leader has been in the application for too long."""
        with self.crew:
            while True:
                if self.idle:
                    self.awake.wait()
                if self.lead.acquire(timeout=PATIENCE):
                    return
                if self.token and monotonic() - self.since > PATIENCE:
                    try:
                        self.token.pop()
                    except IndexError:
                        continue
                    self.hold_from = monotonic() + NO_HOLD
                    return  # the lock is ours with it; the old leader finds the token gone and follows

    def poll(self):
        events = self.epoll.poll(0.05)
        if not events:
            self.idle = True
            self.awake.clear()
            events = self.epoll.poll()
            self.idle = False
            self.awake.set()
        return events

    def deputy(self):
        while True:
            self.follow()
            self.release()
            while self.lead_once():
                pass

    def lead_once(self):
        """Serve one connection as the leader; whether the thread still leads."""
        pending, token = self.pending, self.token
        if self.held and (not pending or monotonic() - self.first > HOLD):
            self.release()
        while not pending:
            self.gather(self.poll())
        fd = pending.popleft()
        begin = monotonic()
        if self.mean > SLOW:
            self.release()
            self.lead.release()
            self.serve_timed(fd)
            return False
        self.since = begin
        token.append(None)
        self.serve(fd, True)
        self.mean += (monotonic() - begin - self.mean) * 0.1
        try:
            token.pop()
        except IndexError:
            return False
        return True

    def run(self, mode, count):
        crew = [threading.Thread(target=getattr(self, mode), daemon=True) for _ in range(count)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()


Server(int(sys.argv[1])).run(sys.argv[2], int(sys.argv[3]))
