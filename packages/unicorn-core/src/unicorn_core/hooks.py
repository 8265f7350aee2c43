"""Hooks: how the user's functions are called, and what stands for the server and its workers in their arguments.

The settings are those of `unicorn_core.settings.core.hooks`; docs/hooks.md is the reference for who writes hooks.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from unicorn_core.listen.address import InheritedAddress, TcpAddress, UnixAddress
from unicorn_core.listen.listener import Listener, parse_all
from unicorn_core.observe.logs import Logger
from unicorn_core.settings import callables
from unicorn_core.settings.registry import Settings


class Hooks:
    """Calls the hooks of some settings.

    Args:
        names: the hook for each event that has one; None: the hooks are named after the events.
    """

    def __init__(self, settings: Settings, log: Logger, names: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._log = log
        self._names = names

    def has(self, *names: str) -> bool:
        """One of them is set."""
        return any(getattr(self._settings, name) is not None for name in names)

    def call(self, event: str, *arguments: object) -> bool:
        """Call the hook of an event if it is set; False if it raised, which was logged.

        Whatever it raises stays in here, SystemExit and KeyboardInterrupt too: a hook must not end the process that
        called it.
        """
        name = event if self._names is None else self._names.get(event)
        hook = getattr(self._settings, name) if name else None
        if hook is None:
            return True
        # A signal may have come in while another hook's exception was being logged, which has nothing to do with this.
        handled = sys.exception()
        try:
            hook(*arguments)
        except BaseException as error:
            if error.__context__ is handled:
                error.__context__ = None
            self._log.error("Hook %s raised:\n%s", name, _users_traceback(error).rstrip())
            return False
        return True


def _users_traceback(error: BaseException) -> str:
    """The traceback from the hook on."""
    begin = error.__traceback__
    while begin and begin.tb_next and begin.tb_frame.f_code.co_filename in (__file__, callables.__file__):
        begin = begin.tb_next
    return "".join(traceback.format_exception(type(error), error, begin))


class WorkerView:
    """A worker as hooks in the arbiter see it: the same object from pre_fork to child_exit.

    Attributes:
        age: counts the workers that the server ever had, from 1 on.
        ppid: the arbiter's process.
        cfg: the settings that it runs with; also `settings`.
        log: the server's log.
        served: gives `nr`.
        pid: its process; None before it is forked.
        booted: it has imported the application and serves.
        alive: its process has not ended.
        aborted: it was ended because it had been silent for too long.
    """

    def __init__(self, age: int, ppid: int, cfg: Settings, log: Logger, served: Callable[[], int]) -> None:
        self.age = age
        self.ppid = ppid
        self.cfg = cfg
        self.log = log
        self.served = served
        self.pid: int | None = None
        self.booted = False
        self.alive = True
        self.aborted = False

    def __repr__(self) -> str:
        return f"<worker {self.age} (pid:{self.pid})>"

    @property
    def settings(self) -> Settings:
        """The settings that it runs with."""
        return self.cfg

    @property
    def nr(self) -> int:
        """How many requests it has served."""
        return self.served()


class ServerView:
    """The server as hooks see it, in the arbiter and, as it was when the worker was forked, in a worker.

    Args:
        settings: gives those in force.
        size: gives how many workers there should be.

    Attributes:
        pid: the arbiter's process.
        log: the server's log.
        WORKERS: the workers' processes that have not ended, by their pid.
        address: of each listener, as getsockname() has it: (host, port), or the path of a unix socket. Before the
            listeners are open, as the setting `bind` names them.
    """

    def __init__(self, log: Logger, settings: Callable[[], Settings], size: Callable[[], int]) -> None:
        self._settings = settings
        self._size = size
        self.log = log
        self.pid = os.getpid()
        self.WORKERS: dict[int, WorkerView] = {}
        self.address: list[Any] = _planned(settings())

    def listening(self, listeners: list[Listener]) -> None:
        """The listeners are open."""
        self.address = [listener.socket.getsockname() for listener in listeners]

    @property
    def cfg(self) -> Settings:
        """The settings in force; each is an attribute."""
        return self._settings()

    settings = cfg

    @property
    def num_workers(self) -> int:
        """How many workers there should be."""
        return self._size()

    @property
    def proc_name(self) -> str:
        """The name in the processes' titles."""
        settings = self._settings()
        return str(settings.proc_name or settings.wsgi_app or settings.default_proc_name)


class WorkerHooks:
    """The hooks in a worker's own process. Nothing is called before there is a worker, nor after `leaving`.

    Attributes:
        server: what hooks see of the arbiter.
    """

    def __init__(self, hooks: Hooks, server: ServerView) -> None:
        self._hooks = hooks
        self.server = server
        self._worker: object | None = None

    def made(self, worker: object) -> None:
        """The worker has been made and will boot."""
        self._worker = worker
        self._hooks.call("post_fork", self.server, worker)

    def booted(self) -> None:
        """It has the application."""
        self._call("post_worker_init")

    def interrupted(self) -> None:
        """SIGINT or SIGQUIT ends it."""
        self._call("worker_int")

    def aborted(self) -> None:
        """SIGABRT ends it."""
        self._call("worker_abort")

    def leaving(self) -> None:
        """Its process ends. May be called again: a signal may come in while the hook runs."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self._hooks.call("worker_exit", self.server, worker)

    def _call(self, name: str) -> None:
        if self._worker is not None:
            self._hooks.call(name, self._worker)


def _planned(settings: Settings) -> list[Any]:
    """What the setting `bind` names, in the form of getsockname()."""
    planned: list[Any] = []
    for address in parse_all(settings.bind, settings.origin("bind")):
        match address:
            case TcpAddress(host, port):
                planned.append((host, port))
            case UnixAddress(path):
                planned.append(path)
            case InheritedAddress(fd):
                planned.append(f"fd://{fd}")
    return planned
