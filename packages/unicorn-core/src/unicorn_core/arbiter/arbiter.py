"""The arbiter's main loop: it reports events to the supervision and carries out what that decides."""

import os
import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import assert_never

from unicorn_core import application
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle, exit_in_words
from unicorn_core.arbiter.signals import SignalInbox
from unicorn_core.errors import ExitCode, UnicornError
from unicorn_core.listen.listener import Listener, open_all, parse_all
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.declaration import TakesEffect
from unicorn_core.settings.registry import Registry, Settings
from unicorn_core.supervise import messages
from unicorn_core.supervise.pool import Pool
from unicorn_core.worker import channel, child
from unicorn_core.worker.base import Context
from unicorn_core.worker.messages import BootFailed, Drain, Ready, Recycle
from unicorn_core.worker.scoreboard import Scoreboard

GLANCE = 1.0
"""Seconds between two looks at the heartbeats at the latest."""


class Arbiter:
    """Binds, forks and looks after the workers.

    Args:
        load_settings: reads the settings; called once now, and again at each reload. Raises UnicornError.
        registry: the declared settings, which say when a change takes effect.
    """

    def __init__(self, load_settings: Callable[[], Settings], registry: Registry) -> None:
        self._load_settings = load_settings
        self._registry = registry
        self.settings = load_settings()
        self.log = Logger(self.settings)
        self.pid = os.getpid()
        self._generations = {1: Generation.of(self.settings)}
        self._pool = Pool(self.settings.workers, self._generations[1].limits)
        self._scoreboard = Scoreboard()
        self._handles: dict[int, Handle] = {}
        self._listeners: list[Listener] = []
        self._selector = selectors.DefaultSelector()
        self._exit_code = ExitCode.STOPPED
        self._finished = False

    def run(self) -> int:
        """Serve until asked to stop; the process's exit code.

        Raises:
            UnicornError: nothing could be started.
        """
        os.chdir(self.settings.chdir)
        self._start()
        self._inbox = SignalInbox()
        self._selector.register(self._inbox, selectors.EVENT_READ)
        try:
            self._perform(self._pool.start(time.monotonic()))
            while not self._finished:
                self._wait()
                self._perform(self._pool.tick(time.monotonic(), self._beats()))
        finally:
            self._close()
        return self._exit_code

    # Starting and stopping

    def _start(self) -> None:
        settings = self.settings
        for warning in settings.warnings:
            self.log.warning("%s", warning)
        self.log.info("Starting %s", child.SERVER_SOFTWARE.replace("/", " "))
        if settings.config:
            self.log.info("Configuration: %s", settings.config)
        addresses = parse_all(settings.bind, settings.origin("bind"))
        self._listeners = open_all(addresses, settings.backlog, settings.umask, (settings.user, settings.group))
        scheme = self._generations[1].worker_class.scheme
        where = ",".join(listener.describe(scheme) for listener in self._listeners)
        self.log.info("Listening at: %s (%s)", where, self.pid)
        self.log.info("Using worker: %s", self._generations[1].name)

    def _close(self) -> None:
        """The last of the arbiter. Workers that are left (after an error in here) see their channel close and leave."""
        for listener in self._listeners:
            listener.remove()
        for handle in self._handles.values():
            handle.channel.close()
        self._inbox.close()
        self._selector.close()
        self.log.info("Shutting down: Master")

    # Waiting for events

    def _wait(self) -> None:
        now = time.monotonic()
        due = self._pool.deadline()
        patience = GLANCE if due is None else max(0.0, min(GLANCE, due - now))
        for key, _ in self._selector.select(patience):
            if isinstance(key.fileobj, SignalInbox):
                for number in key.fileobj.take():
                    self._on_signal(number)
            elif isinstance(key.data, Handle) and key.data.number in self._handles:
                self._listen_to(key.data)

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGCHLD:
            self._reap()
            return
        self.log.info("Handling signal: %s", number.name.removeprefix("SIG").lower())
        now = time.monotonic()
        match number:
            case signal.SIGTERM:
                self._stop(graceful=not self._pool.stopping)
            case signal.SIGINT | signal.SIGQUIT:
                self._stop(graceful=False)
            case signal.SIGHUP:
                self._reload()
            case signal.SIGTTIN:
                self._perform(self._pool.resize(self._pool.size + 1, now))
            case signal.SIGTTOU:
                self._perform(self._pool.resize(self._pool.size - 1, now))
            case signal.SIGUSR1:
                self.log.reopen_files()
                for handle in self._handles.values():
                    handle.signal(signal.SIGUSR1)
            case _:
                self.log.warning("Signal %s is not supported yet and is ignored", number.name)

    def _stop(self, graceful: bool) -> None:
        self._perform(self._pool.stop(time.monotonic(), graceful))
        for listener in self._listeners:
            # The workers empty the accept queue through their own descriptors.
            listener.close()

    def _reload(self) -> None:
        """HUP: a new generation with the settings as they are now; wrong ones are reported and change nothing."""
        try:
            settings = self._load_settings()
            generation = Generation.of(settings)
            parse_all(settings.bind, settings.origin("bind"))
        except UnicornError as error:
            self.log.error("Reload refused, nothing changed: %s", error)
            if error.details:
                self.log.error("%s", error.details.rstrip())
            return
        for warning in settings.warnings:
            self.log.warning("%s", warning)
        for name in settings:
            declared = self._registry.settings.get(name)
            changed = getattr(settings, name) != getattr(self.settings, name)
            if changed and declared and declared.takes_effect is TakesEffect.RESTART:
                self.log.warning("Setting %s has changed; that takes effect after a restart", name)
        self.log.error_log.setLevel(settings.loglevel.upper())
        actions = self._pool.reload(settings.workers, generation.limits, time.monotonic())
        if self._pool.rollout:
            number = self._pool.rollout.generation
            self._generations[number] = generation
            self.log.info("Reloading: generation %s boots beside generation %s", number, self._pool.generation)
        self._perform(actions)

    def _listen_to(self, handle: Handle) -> None:
        """Read a worker's control channel."""
        now = time.monotonic()
        try:
            received = handle.channel.receive()
        except channel.ChannelError as error:
            self.log.error("Worker (pid:%s) sent nonsense on its control channel: %s", handle.pid, error)
            self._selector.unregister(handle.channel)
            handle.signal(signal.SIGKILL)
            return
        for message in received:
            match message:
                case Ready():
                    self.log.debug("Worker ready (pid: %s)", handle.pid)
                    handle.ready = True
                    self._perform(self._pool.ready(handle.number, now))
                case BootFailed(text, details, exit_code):
                    handle.told = True
                    failure = messages.BootFailure(text, details, exit_code)
                    self._perform(self._pool.boot_failed(handle.number, failure))
                case Recycle():
                    self._perform(self._pool.recycle(handle.number, now))
        if handle.channel.closed and handle.channel.fileno() in self._selector.get_map():
            self._selector.unregister(handle.channel)

    def _reap(self) -> None:
        """Collect the workers that ended. Only pids that were forked here are asked for: others are not ours."""
        for handle in list(self._handles.values()):
            pid, status = os.waitpid(handle.pid, os.WNOHANG)
            if pid == 0:
                continue
            # What the worker said last comes before its end.
            self._listen_to(handle)
            self._explain_end(handle, status)
            del self._handles[handle.number]
            if handle.channel.fileno() in self._selector.get_map():
                self._selector.unregister(handle.channel)
            handle.channel.close()
            self._scoreboard.give_back(handle.row)
            self._perform(self._pool.exited(handle.number, exit_in_words(status), time.monotonic()))

    def _explain_end(self, handle: Handle, status: int) -> None:
        how = exit_in_words(status)
        if handle.ended_by:
            self.log.debug("Worker (pid:%s) %s (%s)", handle.pid, how, handle.ended_by)
        elif os.WIFSIGNALED(status):
            hint = " Perhaps out of memory?" if os.WTERMSIG(status) == signal.SIGKILL else ""
            busy = handle.row.busy_with()
            during = f" It was busy with: {busy}" if busy else ""
            self.log.error("Worker (pid:%s) %s!%s%s", handle.pid, how, hint, during)
        elif not handle.told:
            self.log.error("Worker (pid:%s) %s without having been asked to", handle.pid, how)

    def _beats(self) -> dict[int, float]:
        return {handle.number: handle.beat for handle in self._handles.values()}

    # Carrying out what the supervision decided

    def _perform(self, actions: list[messages.Action]) -> None:
        for action in actions:
            match action:
                case messages.Spawn():
                    self._spawn(action)
                case messages.Drain(worker):
                    self._drain(worker)
                case messages.Quit(worker):
                    self._end(worker, signal.SIGQUIT, "asked to quit")
                case messages.Abort(worker, silent_for):
                    self._abort(worker, silent_for)
                case messages.Kill(worker):
                    if handle := self._handles.get(worker):
                        self.log.error("Worker (pid:%s) did not leave in time and is killed", handle.pid)
                    self._end(worker, signal.SIGKILL, "did not leave in time")
                case messages.BackingOff(slot, delay, failures, failure):
                    self._tell_back_off(slot, delay, failures, failure)
                case messages.Complete(generation, size):
                    self._forget_generations(generation)
                    self.log.info("Ready: generation %s serves with workers: %s", generation, size)
                case messages.Reloaded(generation):
                    self.settings = self._generations[generation].settings
                    self._forget_generations(generation)
                    self.log.info("Reloaded: generation %s serves with workers: %s", generation, self._pool.size)
                case messages.RolledBack(generation, failure):
                    self._tell_failure(failure)
                    self.log.error("Reload failed: generation %s is withdrawn, the old one keeps serving", generation)
                case messages.Halt(failure):
                    self._exit_code = ExitCode(failure.exit_code)
                    self._tell_failure(failure)
                    self.log.error("Worker failed to boot; the server stops (exit code %s)", failure.exit_code)
                case messages.Finished():
                    self._finished = True
                case _:
                    assert_never(action)

    def _spawn(self, action: messages.Spawn) -> None:
        generation = self._generations[action.generation]
        ours, theirs = channel.pair()
        row = self._scoreboard.take()
        with self._inbox.blocked() as mask:
            try:
                pid = os.fork()
            except OSError as error:
                self.log.error("Cannot fork a worker: %s", error.strerror)
                ours.close()
                theirs.close()
                self._scoreboard.give_back(row)
                failed = self._pool.exited(action.worker, f"could not be forked: {error.strerror}", time.monotonic())
                self._perform(failed)
                return
            if pid == 0:
                self._leave_to_child(ours)
                context = Context(
                    number=action.worker,
                    slot=action.slot,
                    generation=action.generation,
                    settings=generation.settings,
                    listeners=self._listeners,
                    log=self.log,
                    row=row,
                    channel=theirs,
                    load_application=partial(application.load, generation.settings.wsgi_app),
                )
                child.live(generation.worker_class, context, mask)
        theirs.close()
        handle = Handle(action.worker, pid, action.slot, action.generation, ours, row)
        self._handles[action.worker] = handle
        self._selector.register(ours, selectors.EVENT_READ, handle)

    def _leave_to_child(self, ours: channel.Channel) -> None:
        """In a new worker: close every descriptor that is the arbiter's alone."""
        ours.close()
        self._selector.close()
        self._inbox.forget()
        for handle in self._handles.values():
            handle.channel.close()

    def _drain(self, worker: int) -> None:
        """A worker that boots listens to signals only; it may be ready by now, and decides what SIGTERM means."""
        if handle := self._handles.get(worker):
            handle.ended_by = "drained"
            if not (handle.ready and handle.channel.send(Drain())):
                handle.signal(signal.SIGTERM)

    def _end(self, worker: int, number: signal.Signals, why: str) -> None:
        if handle := self._handles.get(worker):
            handle.ended_by = why
            handle.signal(number)

    def _abort(self, worker: int, silent_for: float) -> None:
        handle = self._handles.get(worker)
        if handle is None:
            return
        self.log.critical("WORKER TIMEOUT (pid:%s)", handle.pid)
        busy = handle.row.busy_with()
        self.log.error(
            "Worker (pid:%s) was silent for %.1f s%s",
            handle.pid,
            silent_for,
            f"; busy with: {busy}" if busy else "",
        )
        self._end(worker, signal.SIGABRT, "timeout")

    def _tell_back_off(self, slot: int, delay: float, failures: int, failure: messages.BootFailure | None) -> None:
        if failure and failures == 1:
            self._tell_failure(failure)
        why = failure.message if failure else "its workers ended soon after they were ready"
        self.log.error("Slot %s: %s times in a row: %s; next try in %.1f s", slot, failures, why, delay)

    def _tell_failure(self, failure: messages.BootFailure) -> None:
        if failure.details:
            self.log.error("The application raised:\n%s", failure.details.rstrip())
        self.log.error("%s", failure.message)

    # Generations

    def _forget_generations(self, current: int) -> None:
        self._generations = {current: self._generations[current]}
