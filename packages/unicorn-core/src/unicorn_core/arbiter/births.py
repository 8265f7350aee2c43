"""How workers come to be: forked from the arbiter itself or, with preload_app, from a mold."""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from unicorn_core.arbiter.forking import Forking
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle
from unicorn_core.arbiter.molds import Molds
from unicorn_core.hooks import WorkerView
from unicorn_core.listen.listener import Listener
from unicorn_core.supervise.messages import Spawn
from unicorn_core.worker import channel, child
from unicorn_core.worker.messages import Probe
from unicorn_core.worker.scoreboard import REQUESTS, nameless_file


class Births(Struct, eq=False):
    """Makes workers."""

    forking: Forking
    molds: Molds

    def bear(self, order: Spawn, generation: Generation, listeners: Sequence[Listener]) -> Handle:
        """Start one worker; its handle has no pid yet if a mold will fork it.

        Raises:
            OSError: there can be no further process, or no descriptor.
        """
        forking, settings = self.forking, generation.settings
        ours, theirs = channel.pair()
        try:
            stacks = nameless_file("unicorn stacks", settings.worker_tmp_dir)
        except OSError:
            ours.close()
            theirs.close()
            raise
        row = forking.scoreboard.take()
        view = WorkerView(order.worker, forking.server.pid, settings, forking.log, lambda: int(row.cells[REQUESTS]))
        role = generation.worker_class.role
        handle = Handle(order.worker, order.slot, order.generation, ours, row, listeners, stacks, view, role)
        if order.canary:
            ours.send(Probe(settings.reload_canary))
        forking.hooks(settings).call("pre_fork", forking.server, view)
        try:
            if generation.preloads:
                self.molds.order(handle, theirs, generation)
            else:
                self._fork(handle, theirs, generation)
        except OSError:
            handle.close()
            forking.scoreboard.give_back(row)
            raise
        finally:
            theirs.close()
        return handle

    def _fork(self, handle: Handle, theirs: channel.Channel, generation: Generation) -> None:
        context = self.forking.context(
            generation,
            number=handle.number,
            slot=handle.slot,
            counted=handle.generation,
            listeners=handle.listeners,
            row=handle.row,
            channel=theirs,
            stacks=handle.stacks,
        )
        live = partial(child.live, generation.worker_class, context)
        handle.born(self.forking.fork(live, handle.listeners, [handle.channel]))
