"""Leader/Followers: which thread of a crew polls, and how that passes on.

One thread at a time is the leader. It polls and, while the application is fast, serves what is ready by itself. Before
a call that may be long it hands leadership on and becomes a follower again. A call that was expected to be short may
block all the same: so the leader lays its right to lead down as a token before the call, and takes it up afterwards.
One follower, the deputy, looks every few milliseconds whether the token has been lying there for too long, takes it,
and leads; the thread that comes back from the application then finds it gone, and follows.

Nothing here rests on the interpreter's lock: leadership is a lock, which whoever has the token may hand on; the token
lies in a deque, whose methods are atomic, so that exactly one of the two gets it. It bears the leader's name: one that
was replaced may come back while its successor's token lies there, and must not take that.
"""

from collections import deque
from contextlib import suppress
from threading import Event, Lock
from time import monotonic

PATIENCE = 0.003
"""Seconds that a leader may spend in one call before the deputy takes over."""


class Crew:
    """See the module.

    Attributes:
        over: there is nothing left to lead; whoever is handed leadership hands it on and leaves.
    """

    def __init__(self) -> None:
        self.over = False
        self._lead = Lock()
        self._deputy = Lock()
        self._token: deque[int] = deque()
        self._since = 0.0
        self._awake = Event()
        self._awake.set()

    def follow(self) -> bool:
        """Wait until this thread leads, be it that leadership was handed on or that the leader is stuck.

        Gives whether a stuck leader was replaced.
        """
        with self._deputy:
            while True:
                self._awake.wait()
                if self._lead.acquire(timeout=PATIENCE):
                    return False
                if self._token and monotonic() - self._since > PATIENCE:
                    with suppress(IndexError):  # the leader has come back
                        self._token.pop()
                        return True  # and with the token the lock

    def hand_on(self) -> None:
        """By the leader, before it leaves or does what may be long."""
        self._lead.release()

    def lay_down(self, leader: int, now: float) -> None:
        """By the leader, the thread with this number, before a call that is expected to be short."""
        self._since = now
        self._token.append(leader)

    def take_up(self, leader: int) -> bool:
        """By the same, after that call; False if another leads by now."""
        try:
            self._token.remove(leader)
        except ValueError:
            return False
        return True

    def rest(self) -> None:
        """By the leader: nothing will happen for a while, the deputy need not look."""
        self._awake.clear()

    def wake(self) -> None:
        """By the leader: something happens again."""
        self._awake.set()
