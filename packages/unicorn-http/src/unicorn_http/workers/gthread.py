"""The worker class `gthread`: several threads, of which one at a time polls (see `crew`).

While the application is fast the leader works in turns, as the worker class `sync` does: it takes in what is ready,
runs it, and sends the answers together. When the application is slow the leader hands leadership on before each
connection that it serves, so that as many requests run at the same time as there are threads. One thread more than that
exists: somebody always leads, reads what comes, and shows that the worker lives.

A connection is served by one thread at a time, which marks it as `apart`. If more comes on it the leader takes
it out of the poller, and who serves it puts it back. Who is apart, the pace, and the end of connections are changed
under one lock, the gate, which the leader of a fast application passes twice a turn; nothing rests on the interpreter's
lock. Each thread has an outbox and counts of its own (`Hand`).
"""

import contextlib
import sys
import threading
from time import monotonic

from msgspec import Struct

from unicorn_core.application import user_stack
from unicorn_core.observe.logs import printable
from unicorn_core.worker.base import Context
from unicorn_core.worker.messages import Recycle
from unicorn_core.worker.scoreboard import CONNECTIONS, IN_FLIGHT, REQUESTS, TAKEN
from unicorn_http.serving.outbox import Outbox, thread_waits
from unicorn_http.serving.pace import Pace
from unicorn_http.serving.poller import READ
from unicorn_http.serving.states import READING
from unicorn_http.workers.blocking import LONGEST_WAIT, BlockingWorker
from unicorn_http.workers.connection import Connection
from unicorn_http.workers.crew import Crew
from unicorn_http.workers.slow_paths import SlowPaths
from unicorn_http.wsgi.request import WsgiRequest

RESTLESS = 0.05
"""Seconds without an event after which the crew rests."""
LOOK = 1.0
"""Seconds between two looks at who is stuck."""


class Call(Struct, eq=False):
    """A thread that is in the application.

    Attributes:
        since: when it went there (monotonic seconds).
        request: the first that it serves of this connection.
        stuck: it has been reported.
    """

    since: float
    connection: Connection
    request: WsgiRequest
    thread: int
    stuck: bool = False


class Apart:
    """Counts the requests that a thread runs while another one leads: no answer waits for them.

    That some of them are slow is no reason to hold none once this thread leads again.

    Attributes:
        calls: requests that were run.
    """

    def __init__(self) -> None:
        self.calls = 0

    def called(self, before: float, now: float) -> None:
        """See unicorn_http.serving.outbox.Counter."""
        self.calls += 1


class Hand(Struct, eq=False):
    """One of the crew: what is a thread's own.

    Attributes:
        outbox: the answers that it holds as the leader.
        apart: what it does while another one leads.
        thread: its number.
    """

    outbox: Outbox
    apart: Apart
    thread: int

    @property
    def calls(self) -> int:
        """Requests that it has run."""
        return self.outbox.calls + self.apart.calls


class ThreadWorker(BlockingWorker):
    """See the module."""

    multithread = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._crew = Crew()
        self._gate = threading.Lock()
        self._apart: dict[Connection, Call] = {}
        self._hands: list[Hand] = []
        self._slow_paths = SlowPaths()
        self._leaders_outbox = Outbox()
        self._next_look = 0.0

    def first_pace(self) -> Pace:
        # If this is wrong the deputy helps; slowness would be hard to disprove while threads wait for each other. And
        # a slow request keeps one thread, not the worker, so that kept connections need not be balanced anew.
        return Pace(average=0.0, slow=float("inf"))

    def run(self) -> None:
        self._open()
        others = [
            threading.Thread(target=self._live, name=f"worker thread {number}", daemon=True)
            for number in range(self.settings.threads)
        ]
        for thread in others:
            thread.start()
        self._work()
        for thread in others:
            thread.join()

    def _live(self) -> None:
        """A thread that fails would take leadership along: then the worker must end."""
        try:
            self._work()
        except BaseException:
            self._fail()

    def _work(self) -> None:
        """The life of one thread."""
        hand = Hand(Outbox(thread_waits), Apart(), threading.get_ident())
        with self._gate:
            self._hands.append(hand)
        crew = self._crew
        while True:
            token = crew.follow()
            if crew.over:
                crew.hand_on()
                return
            if token:
                self._take_over(Call(*token))
            self._leaders_outbox = hand.outbox
            self._lead(hand)

    def _take_over(self, call: Call) -> None:
        """From a leader that is stuck: it holds nothing more, what it held goes out, and it counts as apart."""
        self._leaders_outbox.open = False
        self._leaders_outbox.release()
        with self._gate:
            if call.connection.apart:
                self._apart.setdefault(call.connection, call)

    def _lead(self, hand: Hand) -> None:
        """Until leadership is handed on or lost."""
        table, crew = self._connections, self._crew
        while not table.finished:
            if not self._may_serve:
                self._poll()
            if self._pace.fast:
                if self._may_serve and not self._turn(hand):
                    return
            elif self._leave_and_serve(hand):
                return
        crew.over = True
        crew.hand_on()

    @property
    def _may_serve(self) -> bool:
        return bool(self._ready) and len(self._apart) < self.settings.threads

    def _poll(self) -> None:
        """Wait for something, and take it in."""
        table = self._connections
        longest = LONGEST_WAIT if table.free else table.patience(LONGEST_WAIT, monotonic())
        events = self._poller.wait(min(RESTLESS, longest))
        if not events and longest > RESTLESS:
            self._crew.rest()
            events = self._poller.wait(longest - RESTLESS)
            self._crew.wake()
        now = monotonic()
        self.beat(now)
        self.row.cells[CONNECTIONS] = len(table.by_fd)
        self._server.refresh()
        with self._gate:
            listeners = self._take_in(events, now)
            self._sweep(now)
            if listeners:
                self._accept(listeners, now)
            self._drain_if_asked(now)
            if self._concurrency:
                self._turn_away(now)
            if now >= self._next_look:
                self._next_look = now + LOOK
                self._look_for_stuck(now)
            self._show()

    # Serving

    def _turn(self, hand: Hand) -> bool:
        """Serve all that is ready, as the leader; False if leadership was lost or handed on."""
        ready, slow = self._ready, self._slow_paths
        lay_down, take_up = self._crew.lay_down, self._crew.take_up
        outbox, thread = hand.outbox, hand.thread
        began = now = monotonic()
        outbox.begin_turn(len(ready), now)
        before = outbox.calls
        self.row.busy()
        for _ in range(len(ready)):
            try:
                connection = ready.popleft()
            except IndexError:
                break  # a thread that came back has taken the rest
            request = connection.queue[0]
            if slow.known and slow.has(request.target):
                ready.appendleft(connection)
                self._end_turn(outbox, before, now - began)
                return not self._leave_and_serve(hand)
            pipelined = len(connection.queue) > 1
            if pipelined:
                # Of a connection that is served nothing must be held: a new leader might send it at the same time.
                outbox.end_turn()
            connection.outbox = outbox
            connection.apart = True
            call = now, connection, request, thread  # a `Call` that costs less
            lay_down(call)
            now = self._serve(connection, outbox, now)
            try:
                take_up(call)
            except ValueError:
                # Another thread leads since the application has kept this one for too long.
                outbox.end_turn()
                with self._gate:
                    self._apart.setdefault(connection, Call(*call))
                self._finish(connection, hand, 1, now - call[0])
                self._call_leader()
                return False
            connection.apart = False
            if connection.queue or connection.watched != READ or connection.state is not READING:
                self._settle(connection)
            if pipelined:
                outbox.begin_turn(len(ready), now)
        self._end_turn(outbox, before, now - began)
        return True

    def _end_turn(self, outbox: Outbox, calls_before: int, took: float) -> None:
        outbox.end_turn()
        with self._gate:
            if self._pace.called(outbox.calls - calls_before, took):
                self._connections.adapt()
            self._show()

    def _leave_and_serve(self, hand: Hand) -> bool:
        """Hand leadership on and serve apart what is ready; False, and nothing is done, if no thread may do so."""
        connection = self._next(hand)
        if connection is None:
            return False
        self._crew.hand_on()
        self._serve_apart(connection, hand)
        return True

    def _next(self, hand: Hand) -> Connection | None:
        """A connection to be served apart; None if there is none, or no thread may serve one more."""
        with self._gate:
            if not self._may_serve:
                return None
            connection = self._ready.popleft()
            connection.apart = True
            self._apart[connection] = Call(monotonic(), connection, connection.queue[0], hand.thread)
            self._show()
        return connection

    def _serve_apart(self, connection: Connection, hand: Hand) -> None:
        """Serve connections, one after the other, while another thread leads."""
        apart = hand.apart
        hand.outbox.open = False
        following: Connection | None = connection
        while following is not None:
            connection = following
            connection.outbox = hand.outbox
            now, before = monotonic(), apart.calls
            took = self._serve(connection, apart, now) - now
            self._finish(connection, hand, apart.calls - before, took)
            following = None if self._pace.fast else self._next(hand)
        self._call_leader()

    def _finish(self, connection: Connection, hand: Hand, calls: int, took: float) -> None:
        """A connection has been served apart."""
        while connection.queue and connection.state is READING:
            self._serve(connection, hand.apart, monotonic())
        with self._gate:
            self._slow_paths.learn(self._apart.pop(connection).request.target, took / calls if calls else 0.0)
            connection.apart = False
            self._settle(connection)
            if self._pace.called(calls, took):
                self._connections.adapt()
            self._show()

    def _call_leader(self) -> None:
        """This thread is free: who waited for that must not wait for the poller too."""
        if self._awaited:
            with contextlib.suppress(BlockingIOError):  # others have called so often already
                self._wakeup.send(b"\0")

    def _turn_away(self, now: float) -> None:
        """Refuse what waits beyond `limit_concurrency`, at once: that needs no thread to be free."""
        self._shed(len(self._apart))
        for _ in range(len(self._ready)):
            connection = self._ready.popleft()
            if connection.queue[0].error is None:
                self._ready.append(connection)
            else:
                self._serve(connection, self._leaders_outbox, now)
                self._settle(connection)

    # Telling

    def _show(self) -> None:
        """What the scoreboard tells of this worker."""
        running = len(self._apart)
        requests = sum(hand.calls for hand in self._hands)
        cells = self.row.cells
        cells[REQUESTS] = requests
        cells[IN_FLIGHT] = running
        free = self._connections.free or not self._connections.load(monotonic())
        self.row.load(running if free and running < self.settings.threads and not self._ready else TAKEN)
        if self.recycle_at:
            self.served(requests)

    def _look_for_stuck(self, now: float) -> None:
        """Report threads that are in one request for longer than `timeout`; with too many the worker is replaced."""
        limit = self.settings.timeout
        late = [call for call in self._apart.values() if limit and now - call.since > limit]
        frames = sys._current_frames() if any(not call.stuck for call in late) else {}
        for call in late:
            if not call.stuck:
                call.stuck = True
                self.log.error(
                    "Worker (pid:%s) has a thread that is busy with: %s from %s, for %.1f s, at:\n%s",
                    self.pid,
                    printable(call.request.line.decode("latin-1")),
                    call.connection.peer.name,
                    now - call.since,
                    user_stack(frames.get(call.thread)).rstrip(),
                )
        share = self.settings.stuck_threads
        if late and share and len(late) * 100 >= share * self.settings.threads and not self._recycling:
            self._recycling = True
            self.context.channel.send(Recycle(f"{len(late)} of its {self.settings.threads} threads are stuck"))
