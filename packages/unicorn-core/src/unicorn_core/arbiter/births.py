"""How workers come to be: forked from the arbiter itself or, with preload_app, from a mold."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from msgspec import Struct

from unicorn_core import application
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle
from unicorn_core.arbiter.molds import Molds
from unicorn_core.hooks import Hooks, ServerView, WorkerHooks, WorkerView
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.supervise.messages import Spawn
from unicorn_core.worker import channel, child
from unicorn_core.worker.base import Context
from unicorn_core.worker.messages import Probe
from unicorn_core.worker.scoreboard import REQUESTS, Scoreboard, nameless_file


class Births(Struct):
    """Makes workers.

    Attributes:
        server: what hooks see of the arbiter.
        in_child: called in every new process with its listeners: closes whatever else the arbiter has open.
        blocked: holds the arbiter's signals back around a fork; gives the mask to go on with in the child.
    """

    scoreboard: Scoreboard
    log: Logger
    server: ServerView
    molds: Molds
    in_child: Callable[[Sequence[Listener]], None]
    blocked: Callable[[], AbstractContextManager[set[int]]]

    def bear(self, order: Spawn, generation: Generation, listeners: Sequence[Listener]) -> Handle:
        """Start one worker; its handle has no pid yet if a mold will fork it.

        Raises:
            OSError: there can be no further process, or no descriptor.
        """
        settings = generation.settings
        hooks = Hooks(settings, self.log)
        ours, theirs = channel.pair()
        try:
            stacks = nameless_file("unicorn stacks", settings.worker_tmp_dir)
        except OSError:
            ours.close()
            theirs.close()
            raise
        row = self.scoreboard.take()
        view = WorkerView(order.worker, self.server.pid, settings, self.log, lambda: int(row.cells[REQUESTS]))
        handle = Handle(order.worker, order.slot, order.generation, ours, row, listeners, stacks, view)
        if order.canary:
            ours.send(Probe(settings.reload_canary))
        hooks.call("pre_fork", self.server, view)
        try:
            if settings.preload_app and not settings.reload:
                self.molds.order(handle, theirs, generation)
            else:
                self._fork(handle, theirs, generation, hooks)
        except OSError:
            handle.close()
            self.scoreboard.give_back(row)
            raise
        finally:
            theirs.close()
        return handle

    def _fork(self, handle: Handle, theirs: channel.Channel, generation: Generation, hooks: Hooks) -> None:
        with self.blocked() as mask:
            pid = os.fork()
            if pid == 0:
                handle.channel.close()
                self.in_child(handle.listeners)
                context = Context(
                    number=handle.number,
                    slot=handle.slot,
                    generation=handle.generation,
                    settings=generation.settings,
                    listeners=handle.listeners,
                    log=self.log,
                    row=handle.row,
                    channel=theirs,
                    stacks=handle.stacks,
                    hooks=WorkerHooks(hooks, self.server),
                    load_application=generation.load or partial(application.load, generation.settings.wsgi_app),
                )
                child.live(generation.worker_class, context, mask)
        handle.born(pid)
