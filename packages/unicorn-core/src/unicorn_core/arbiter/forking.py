"""Forking from the arbiter: what every process that it makes must forget."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

from msgspec import Struct

from unicorn_core.arbiter.generation import Generation
from unicorn_core.errors import ExitCode
from unicorn_core.hooks import Hooks, ServerView, WorkerHooks
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_core.worker.base import Context
from unicorn_core.worker.channel import Channel
from unicorn_core.worker.scoreboard import Row, Scoreboard

# Bound before a settings file may patch the module for its application, as gunicorn's do for gevent.
_fork = os.fork


class Forking(Struct, eq=False):
    """Makes processes.

    Attributes:
        server: what hooks see of the arbiter.
        in_child: called in every new process with its listeners: closes whatever else the arbiter has open.
        blocked: holds the arbiter's signals back around a fork; gives the mask to go on with in the child.
        hook_names: which of the user's hooks stand for which event; None: each for the event of its name.
    """

    log: Logger
    server: ServerView
    scoreboard: Scoreboard
    in_child: Callable[[Sequence[Listener]], None]
    blocked: Callable[[], AbstractContextManager[set[int]]]
    hook_names: Mapping[str, str] | None = None

    def hooks(self, settings: Settings) -> Hooks:
        """The user's functions for what happens to these processes."""
        return Hooks(settings, self.log, self.hook_names)

    def fork(
        self, live: Callable[[set[int]], NoReturn], listeners: Sequence[Listener], not_its_own: Sequence[Channel]
    ) -> int:
        """Fork a process that runs `live` with the signal mask to go on with; gives its pid.

        Args:
            listeners: those it keeps.
            not_its_own: channels that it must close, beside those that `in_child` knows.

        Raises:
            OSError: there can be no further process.
        """
        with self.blocked() as mask:
            pid = _fork()
            if pid == 0:
                # Whatever goes wrong, the frames below are the arbiter's: nothing must get there.
                try:
                    for channel in not_its_own:
                        channel.close()
                    self.in_child(listeners)
                    live(mask)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(ExitCode.FAILED)
        return pid

    def context(
        self,
        generation: Generation,
        *,
        number: int,
        slot: int,
        counted: int,
        listeners: Sequence[Listener],
        row: Row,
        channel: Channel,
        stacks: int,
    ) -> Context:
        """What the new process gets; `counted` is the number of the generation."""
        return Context(
            number=number,
            slot=slot,
            generation=counted,
            settings=generation.settings,
            listeners=listeners,
            log=self.log,
            row=row,
            channel=channel,
            stacks=stacks,
            hooks=WorkerHooks(self.hooks(generation.settings), self.server),
            load_application=generation.load_application,
        )
