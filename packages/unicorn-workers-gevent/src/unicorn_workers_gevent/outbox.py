"""Answers held in a turn whose requests may wait, each by itself, while the turn goes on without them."""

from unicorn_http.serving.outbox import Outbox, thread_waits


class GreenOutbox(Outbox):
    """What counts is how long a call kept others from running, up to its end or until it began to wait.

    Attributes:
        waiting: calls that began to wait.
    """

    def __init__(self) -> None:
        super().__init__(thread_waits)
        self.waiting = 0
        self._turn_began = float("inf")

    def begin_turn(self, requests: int, now: float) -> None:
        self._turn_began = now
        super().begin_turn(requests, now)

    def called(self, before: float, now: float) -> None:
        if before >= self._turn_began:
            super().called(before, now)
        else:
            self.calls += 1  # it has waited; `left` was told

    def left(self, before: float, now: float) -> None:
        """A request that ran since `before` waits for something now, and the turn goes on."""
        super().called(before, now)
        self.calls -= 1
        self.waiting += 1

    def end_turn(self) -> None:
        self._turn_began = float("inf")
        super().end_turn()
