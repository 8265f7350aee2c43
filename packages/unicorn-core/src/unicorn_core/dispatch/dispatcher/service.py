"""What lives in the dispatcher's loop: its parts put together, from the first task worker to the last."""

import asyncio
import time
from collections.abc import Callable, Mapping
from operator import index
from typing import Any

from unicorn_core.dispatch.dispatcher.clients import Clients
from unicorn_core.dispatch.dispatcher.crew import Crew
from unicorn_core.dispatch.dispatcher.member import Member
from unicorn_core.dispatch.dispatcher.overdue import Overdue
from unicorn_core.dispatch.dispatcher.roster import Roster
from unicorn_core.dispatch.dispatcher.router import Router
from unicorn_core.dispatch.dispatcher.stash_service import StashService
from unicorn_core.dispatch.dispatcher.status import status
from unicorn_core.dispatch.rules.placement import Routing
from unicorn_core.dispatch.rules.tables import Tables
from unicorn_core.errors import SettingError, UnicornError
from unicorn_core.hooks import Hooks
from unicorn_core.supervise import messages
from unicorn_core.worker.base import Worker
from unicorn_core.worker.scoreboard import CONNECTIONS, IN_FLIGHT, REQUESTS

BEAT = 1.0
MOST_TASK_WORKERS = 1024
"""As many as the setting dispatch_workers permits."""
LOOK = 0.02
"""Seconds between two looks at whether what is to finish has finished."""


class Service:
    """See the module. To be made in a running loop.

    Args:
        process: the dispatcher, as a worker of the arbiter.
        in_child: called in each new task worker: closes what the process has open beside this.
    """

    def __init__(self, process: Worker, in_child: Callable[[], None]) -> None:
        self._process = process
        self._in_child = in_child
        self._loop = loop = asyncio.get_running_loop()
        self._log = log = process.log
        settings, context = process.settings, process.context
        self._failure: messages.BootFailure | None = None
        self._ready = asyncio.Event()
        self._ending = asyncio.Event()
        self._finished = asyncio.Event()
        self._succeeded = False
        loop.set_exception_handler(self._on_mistake)
        self._router = Router(loop, Roster(Routing(settings.dispatch_routing)))
        stash = StashService(Tables(settings.dispatch_max_stash))
        self._crew = Crew(
            settings, log, loop, self._router, self._leave_to_child, stash.ensure, self._decided, context.channel.send
        )
        self._overdue = Overdue(loop, log, self._router, self._crew)
        commands: dict[str, Callable[..., Any]] = {"status": self._status, "resize": self.resize, "reload": self.reload}
        listener = context.listeners[0].socket
        self._clients = Clients(listener, loop, log, self._router, stash, self._terms, self._member_of, commands)
        self._beating = loop.create_task(self._keep_beating())
        for descriptor in process.attention:
            loop.add_reader(descriptor, process.attend)

    async def start(self) -> messages.BootFailure | None:
        """Start the task workers and wait until they are ready; clients can connect by now, and wait as well.

        Gives why they cannot boot, if they cannot.
        """
        Hooks(self._process.settings, self._log).call("on_dispatch_starting", self._crew.view)
        # Forked from a callback, not from this task, which a child that runs a loop of its own would stumble over.
        self._loop.call_soon(self._crew.start)
        await self._ready.wait()
        return self._failure

    async def serve(self) -> None:
        """Serve until asked to end, finish the calls there are, and end the task workers."""
        await self._ending.wait()
        self._clients.stop_accepting()
        if self._succeeded:
            self._clients.hand_over()
        else:
            self._router.refuse("the dispatcher is stopping")
        grace = self._process.settings.dispatch_graceful_timeout
        until = time.monotonic() + grace if grace else float("inf")
        while not self._router.idle and time.monotonic() < until:
            await asyncio.sleep(LOOK)
        self._router.close()
        self._crew.stop(graceful=True)
        await self._finished.wait()
        self._clients.close()
        self._beating.cancel()

    def end(self, succeeded: bool) -> None:
        """Let `serve` come to its end; if it is `succeeded`, new calls find another dispatcher at the same socket."""
        if not self._ending.is_set():
            self._succeeded = succeeded
            self._ending.set()

    def reload(self) -> None:
        """Replace the task workers, with the settings as they are now; wrong ones change nothing."""
        try:
            settings = self._process.context.load_application()
            if not (settings.dispatch_workers and settings.dispatch_apps):
                raise SettingError("dispatch_workers or dispatch_apps is not set any more")
        except UnicornError as error:
            self._log.error("Reload of the task workers refused: %s", error)
            return
        self._log.error_log.setLevel(settings.loglevel.upper())
        self._crew.reload(settings.replaced(**settings.held_back(self._process.settings)))

    def resize(self, by: int) -> int:
        """Have so many task workers more, as far as the apps permit; gives how many that is."""
        return self._crew.resize(min(self._crew.pool.size + index(by), MOST_TASK_WORKERS))

    def signal(self, number: int) -> None:
        """Send a signal to all task workers."""
        self._crew.signal(number)

    def reap(self) -> None:
        """Collect task workers that have ended."""
        self._crew.reap()

    async def _keep_beating(self) -> None:
        cells = self._process.row.cells
        while True:
            self._process.beat()
            members = self._router.roster.members.values()
            cells[CONNECTIONS] = len(self._clients.connected)
            cells[IN_FLIGHT] = sum(len(member.given) for member in members)
            cells[REQUESTS] = sum(tally.done + tally.failed for tally in self._router.tallies.values())
            await asyncio.sleep(BEAT)

    def _decided(self, action: messages.Action) -> None:
        match action:
            case messages.Complete():
                self._ready.set()
            case messages.Halt(failure):
                self._failure = failure
            case messages.Finished():
                self._finished.set()
                self._ready.set()

    def _terms(self) -> Mapping[str, Any]:
        """What a client that connects is told: as the settings are by now."""
        settings = self._crew.settings
        return {
            "timeout": settings.dispatch_timeout,
            "limit": settings.dispatch_max_payload,
            "serializer": settings.dispatch_serializer,
        }

    def _status(self) -> dict[str, Any]:
        return status(self._router, self._crew, len(self._clients.connected))

    def _member_of(self, pid: int) -> Member | None:
        for handle in self._crew.driver.handles.values():
            if handle.pid == pid:
                return self._router.roster.members.get(handle.number)
        return None

    def _on_mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something was raised that nothing handles: tell it, and serve on."""
        self._log.error("Dispatcher: %s", context["message"], exc_info=context.get("exception"))

    def _leave_to_child(self) -> None:
        """In a task worker: close what is the dispatcher's, in part behind the back of its loop: that never goes on."""
        self._clients.forget()
        self._in_child()
        for part in ("_selector", "_ssock", "_csock"):
            getattr(self._loop, part).close()
