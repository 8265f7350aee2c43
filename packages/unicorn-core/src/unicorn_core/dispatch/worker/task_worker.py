"""A task worker: the process that holds task apps and runs their actions.

It is a worker like any other to who supervises it (`unicorn_core.worker`). What it accepts from is one socket to the
dispatcher; when that ends it has been drained. When its control channel ends, the dispatcher has died, and it with it.
"""

import contextlib
import inspect
import os
import select
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any, ClassVar, TypeVar

from unicorn_core.application import user_traceback
from unicorn_core.dispatch.app import import_class, traits
from unicorn_core.dispatch.wire.blocking import Wire
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.worker.execution import Execution
from unicorn_core.dispatch.worker.inbox import Inbox, OwnInbox, SharedInbox
from unicorn_core.errors import ApplicationError, ExitCode
from unicorn_core.worker.base import Context, Worker
from unicorn_core.worker.child import leave
from unicorn_core.worker.messages import Assign, Import, Imported, Message, Recycle

PATIENCE = 1.0
"""Seconds that a task worker without a dispatcher has for leaving, first by itself, then when it is told to."""

M = TypeVar("M", bound=Message)


class TaskWorker(Worker):
    """See the module.

    Attributes:
        apps: by their paths.
    """

    role: ClassVar[str] = "Task worker"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.apps: dict[str, Any] = {}

    def boot(self) -> None:
        """Import what the dispatcher names, and make ready what it assigns."""
        channel = self.context.channel
        references = {app.path: app for app in self.settings.dispatch_apps}
        classes = {path: import_class(references[path]) for path in self._await(Import).apps}
        channel.send(Imported({path: traits(found) for path, found in classes.items()}))
        assigned = self._await(Assign).apps
        limit = self.settings.dispatch_max_payload
        wire = Wire(socket.socket(fileno=channel.take(1)[0]), limit)
        self._inbox: Inbox = OwnInbox(wire, self.row) if self._threads == 1 else SharedInbox(wire, self.row)
        self._main = self._execution()
        for path in assigned:
            self.apps[path] = self._make(path, classes[path])
            self.log.debug("Task worker (pid:%s) has %s", self.pid, path)

    def run(self) -> None:
        """Run calls until the dispatcher sends no more."""
        threading.Thread(target=self._guard, name="unicorn guard", daemon=True).start()
        if isinstance(self._inbox, SharedInbox):
            threads = [
                threading.Thread(target=self._execution().run, name=f"task {index}", daemon=True)
                for index in range(self._threads)
            ]
            for thread in threads:
                thread.start()
            with contextlib.suppress(OSError):
                self._inbox.read()
            for thread in threads:
                thread.join()
        else:
            self._main.run()
        self.close()

    def close(self) -> None:
        """Let the apps close what they have."""
        for path, app in self.apps.items():
            try:
                result = getattr(app, "close", lambda: None)()
                if inspect.iscoroutine(result):
                    self._main.await_it(result)
            except BaseException as error:
                self.log.error("Task app %s: close() raised:\n%s", path, user_traceback(error).rstrip())

    def on_terminate(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM: ask to be replaced, which lets everything finish that is here."""
        self.context.channel.send(Recycle("it was sent SIGTERM"))

    @property
    def _threads(self) -> int:
        return int(self.settings.dispatch_threads)

    def _execution(self) -> Execution:
        serializer = Serializer(self.settings.dispatch_serializer == "pickle")
        limit = self.settings.dispatch_max_payload
        return Execution(self._inbox, self.apps, serializer, self.row, self.log, self.context.number, limit)

    def _make(self, path: str, app_class: type) -> object:
        """An app, made ready.

        Raises:
            ApplicationError: it failed.
        """
        try:
            app = app_class()
            result = getattr(app, "init", lambda: None)()
            if inspect.iscoroutine(result):
                self._main.await_it(result)
        except BaseException as error:
            what = f"task app {path!r} failed in init(): {type(error).__name__}: {error}"
            raise ApplicationError(what, user_traceback(error)) from error
        return app

    def _await(self, kind: type[M]) -> M:
        """The next message from the dispatcher, which is of this kind."""
        channel = self.context.channel
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        while True:
            poll.poll()
            for message in channel.receive():
                if isinstance(message, kind):
                    return message
            if channel.closed:
                leave(ExitCode.STOPPED)

    def _guard(self) -> None:
        """In a thread of its own: leave when the dispatcher dies, whatever runs."""
        poll = select.poll()
        poll.register(self.context.channel, select.POLLHUP)
        while not any(event & select.POLLHUP for _, event in poll.poll()):
            pass
        # The socket for calls has ended as well, which an idle main thread has noticed.
        time.sleep(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGQUIT)
        time.sleep(PATIENCE)
        os._exit(ExitCode.FAILED)
