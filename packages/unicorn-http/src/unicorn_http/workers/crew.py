"""Leader/Followers: which thread of a crew polls, and how that passes on.

One thread at a time is the leader. It polls and, while the application is fast, serves what is ready by itself. Before
a call that may be long it hands leadership on and becomes a follower again. A call that was expected to be short may
block all the same: so the leader lays its right to lead down as a token before the call, and takes it up afterwards.
One follower, the deputy, looks every few milliseconds whether the token has been lying there for too long, takes it,
and leads; the thread that comes back from the application then finds it gone, and follows.

Nothing here rests on the interpreter's lock: leadership is a lock, which whoever has the token may hand on; the token
lies in a deque, whose methods are atomic, so that exactly one of the two gets it. Each is laid down only once: a leader
that was replaced may come back while its successor's token lies there, and must not take that.
"""

from collections import deque
from threading import Event, Lock
from time import monotonic
from typing import Any

PATIENCE = 0.003
"""Seconds that a leader may spend in one call before the deputy takes over."""

Token = tuple[Any, ...]
"""When it was laid down (monotonic seconds), and what the thread should know that takes it instead."""


class Crew:
    """See the module.

    Attributes:
        over: there is nothing left to lead; whoever is handed leadership hands it on and leaves.
        lay_down: by the leader, before a call that is expected to be short: takes a new `Token`.
        take_up: by the same, after that call: takes this token; raises ValueError if another leads by now.
    """

    def __init__(self) -> None:
        self.over = False
        self._lead = Lock()
        self._deputy = Lock()
        # Between the two stands each request: the deque's own methods cost a fifth of others around them.
        tokens = self._tokens = deque[Token]()
        self.lay_down = tokens.append
        self.take_up = tokens.remove
        self._awake = Event()
        self._awake.set()

    def follow(self) -> Token | None:
        """Wait until this thread leads: because it was handed leadership, or in place of a leader that is stuck.

        Gives that one's token.
        """
        with self._deputy:
            while True:
                self._awake.wait()
                if self._lead.acquire(timeout=PATIENCE):
                    return None
                try:
                    token = self._tokens[0]
                    if monotonic() - token[0] > PATIENCE:
                        self._tokens.remove(token)
                        return token  # and with the token the lock
                except (IndexError, ValueError):
                    pass  # the leader has come back

    def hand_on(self) -> None:
        """By the leader, before it leaves or does what may be long."""
        self._lead.release()

    def rest(self) -> None:
        """By the leader: nothing will happen for a while, the deputy need not look."""
        self._awake.clear()

    def wake(self) -> None:
        """By the leader: something happens again."""
        self._awake.set()
