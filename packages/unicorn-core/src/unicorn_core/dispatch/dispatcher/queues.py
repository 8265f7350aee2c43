"""The queue of one task worker: asyncio's, with the order of `unicorn_core.dispatch.rules.order`."""

import asyncio

from unicorn_core.dispatch.dispatcher.calls import Answer, Call
from unicorn_core.dispatch.rules.order import Order


class WorkerQueue(asyncio.Queue[tuple[Call, Answer | None]]):
    """Holds calls together with what takes their answers; `qsize` counts those that still wait.

    Attributes:
        order: which of them is next.
    """

    def _init(self, maxsize: int) -> None:
        self.order: Order[Call] = Order()
        self._queue = self.order

    def _put(self, item: tuple[Call, Answer | None]) -> None:
        call, answer = item
        call.answer = answer
        self.order.put(call)

    def _get(self) -> tuple[Call, Answer | None]:
        call = self.order.get()
        return call, call.answer
