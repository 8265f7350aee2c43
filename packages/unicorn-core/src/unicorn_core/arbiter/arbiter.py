"""The arbiter: binds the listeners, runs the pool of workers, and does what signals ask for."""

import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from unicorn_core.arbiter import daemon
from unicorn_core.arbiter.births import Births
from unicorn_core.arbiter.dispatching import Dispatching
from unicorn_core.arbiter.driver import Driver, Owner
from unicorn_core.arbiter.forking import Forking
from unicorn_core.arbiter.generation import Generation
from unicorn_core.arbiter.handle import Handle
from unicorn_core.arbiter.loans import Loans
from unicorn_core.arbiter.molds import Mold, Molds
from unicorn_core.arbiter.presence import Presence
from unicorn_core.arbiter.signals import SignalInbox
from unicorn_core.arbiter.size import Size
from unicorn_core.arbiter.sockets import Sockets
from unicorn_core.arbiter.subreaper import become_subreaper
from unicorn_core.arbiter.succession import Heritage, start_folder
from unicorn_core.arbiter.systemd import take_sockets
from unicorn_core.arbiter.upgrading import Heir, Upgrading
from unicorn_core.arbiter.watch import SelectorWatch
from unicorn_core.errors import ExitCode, UnicornError
from unicorn_core.hooks import Hooks, ServerView
from unicorn_core.listen.listener import Listener
from unicorn_core.observe.logs import Logger
from unicorn_core.observe.title import set_title
from unicorn_core.settings.cpus import usable_cpus
from unicorn_core.settings.registry import Settings
from unicorn_core.supervise import messages
from unicorn_core.supervise.pool import Pool
from unicorn_core.worker import reaper
from unicorn_core.worker.environment import SERVER_SOFTWARE
from unicorn_core.worker.messages import Became, Changed, Message
from unicorn_core.worker.scoreboard import Scoreboard

if TYPE_CHECKING:
    from unicorn_core.develop.changes import Changes

GLANCE = 1.0
"""Seconds between two looks at the heartbeats at the latest."""
# Bound before a settings file may patch the module for its application, as gunicorn's do for gevent.
_Selector = selectors.DefaultSelector


class Arbiter(Owner):
    """Binds, forks and looks after the workers.

    Args:
        settings: as they are now.
        load_settings: reads them anew, at each reload; it may raise UnicornError. Without it they stay as they are.
        load_application: gives the application, in place of the setting wsgi_app.
    """

    def __init__(
        self,
        settings: Settings,
        load_settings: Callable[[], Settings] | None = None,
        load_application: Callable[[], Any] | None = None,
    ) -> None:
        self._load_settings = load_settings or (lambda: settings)
        self._load_application = load_application
        self._folder = start_folder()
        self.settings = settings
        self.log = Logger(self.settings)
        self._exit_code = ExitCode.STOPPED
        self._finished = False
        self._glance_at = 0.0
        self._changes: Changes | None = None
        self._told_class: set[int] = set()  # generations whose workers have chosen their class

    def run(self) -> int:
        """Serve until asked to stop; the process's exit code.

        Raises:
            UnicornError: nothing could be started.
        """
        settings = self.settings
        first = Generation.of(settings, self._load_application)
        heritage = Heritage(os.environ)
        background = daemon.go_to_background() if settings.daemon and not heritage.former else None
        if background and not settings.enable_stdio_inheritance:
            daemon.detach_stdio()
        self.pid = os.getpid()
        self._presence = Presence(settings.pidfile, heritage, background, os.environ, self.pid, self.log)
        try:
            os.chdir(settings.chdir)
            self._start(first)
        except (UnicornError, OSError) as failure:
            error = failure if isinstance(failure, UnicornError) else UnicornError(f"cannot start: {failure}")
            self._presence.failed(error.exit_code, error.report())
            self._presence.leave()
            raise error from failure
        try:
            self._dispatching.start(settings)
            self._driver.perform(self._pool.start(time.monotonic()))
            while not self._finished:
                self._wait()
                self._tick(time.monotonic())
        finally:
            self._close()
        return self._exit_code

    # Starting and stopping

    def _start(self, first: Generation) -> None:
        settings = self.settings
        self._pool = Pool(int(settings.workers), first.limits, usable_cpus())
        self._generations = {1: first}
        self._server = ServerView(self.log, lambda: self.settings, lambda: self._pool.size)
        self._hooks = Hooks(settings, self.log)
        for warning in settings.warnings:
            self.log.warning("%s", warning)
        self.log.info("Starting %s", SERVER_SOFTWARE.replace("/", " "))
        if settings.config:
            self.log.info("Configuration: %s", settings.config)
        self._hooks.call("on_starting", self._server)
        self._presence.announce()
        self._sockets = Sockets(take_sockets(os.environ, self.pid), self._shares_sockets)
        self._sockets.inherit(os.environ)
        first.listeners[:] = self._sockets.open(settings)
        self._sockets.drop_unwanted(first.listeners)
        set_title("master", settings)
        scheme = first.worker_class.scheme(settings)
        where = ",".join(listener.describe(scheme) for listener in first.listeners)
        self.log.info("Listening at: %s (%s)", where, self.pid)
        self.log.info("Using worker: %s", first.name)
        self._server.listening(first.listeners)
        self._selector = _Selector()
        self._watch = SelectorWatch(self._selector)
        self._inbox = SignalInbox()
        self._selector.register(self._inbox, selectors.EVENT_READ)
        self._upgrading = Upgrading(self._folder, self._sockets, self._selector, self._inbox, self.log)
        self._make_driver()
        self._hooks.call("when_ready", self._server)

    def _make_driver(self) -> None:
        # Orphans come to process 1 of a container anyway; with molds the workers are orphans on purpose.
        adopts = become_subreaper() if self.settings.preload_app else False
        self._collects_all = adopts or self.pid == 1
        forking = Forking(self.log, self._server, Scoreboard(), self._leave_to_child, self._inbox.blocked)
        self._molds = Molds(forking, adopts, self._watch_mold)
        beside = Forking(self.log, self._server, Scoreboard(), self._leave_to_child, self._inbox.blocked, {})
        self._dispatching = Dispatching(
            beside, self._watch, self._load_settings, self._halt, self._finish, self._code_changed
        )
        self._driver = Driver(
            self._pool,
            Births(forking, self._molds),
            self._watch,
            self.log,
            self._generations,
            self,
        )
        self._loans = Loans(self._driver, self._sockets)
        self._size = Size(self._driver, self._sockets, self.settings.workers)

    def _stop(self, graceful: bool) -> None:
        self._presence.stopping(self._upgrading.heir)
        self._driver.perform(self._pool.stop(time.monotonic(), graceful))
        if not graceful:
            self._dispatching.stop(graceful=False)

    def _halt(self, failure: messages.BootFailure) -> None:
        """What was to run cannot boot."""
        self._exit_code = ExitCode(failure.exit_code)
        self.log.error("Worker failed to boot; the server stops (exit code %s)", failure.exit_code)
        self._presence.failed(failure.exit_code, UnicornError(failure.message, failure.details).report())
        if not self._pool.stopping:
            self._stop(graceful=False)

    def _finish(self) -> None:
        """The dispatcher has ended, or all web workers have: those may have needed it until now."""
        if self._pool.stopping and not self._pool.occupants:
            if self._dispatching.running:
                self._dispatching.stop(graceful=True)
            else:
                self._finished = True

    def _close(self) -> None:
        """The last of the arbiter. Workers that are left (after an error in here) see their channel close and leave."""
        self._sockets.close()
        self._molds.end()
        self._driver.forget()
        self._dispatching.close()
        self._inbox.close()
        self._selector.close()
        self.log.info("Shutting down: Master")
        self._hooks.call("on_exit", self._server)
        self._presence.leave()

    def _leave_to_child(self, its_own: Sequence[Listener]) -> None:
        """In a new process: close every descriptor that is the arbiter's alone, or another worker's."""
        for listener in self._sockets:
            if listener not in its_own:
                listener.close()
        self._selector.close()
        self._inbox.forget()
        self._driver.forget()
        self._dispatching.forget(its_own)
        self._presence.forget()
        self._upgrading.forget()

    # Waiting for events

    def _wait(self) -> None:
        now = time.monotonic()
        dues = [part.deadline() for part in (self._pool, self._dispatching, self._loans, self._size, self._presence)]
        patience = min([GLANCE, *(max(0.0, due - now) for due in dues if due is not None)])
        ready = self._selector.select(patience)
        # First: a terminal and a supervisor signal all processes at once, and the others' ends follow from that.
        for number in self._inbox.take():
            self._on_signal(number)
        for key, _ in ready:
            match key.data:
                case Heir():
                    if self._upgrading.hear():
                        self._stop(graceful=True)
                case None:
                    pass  # the inbox
                case heard:
                    heard()

    def _tick(self, now: float) -> None:
        self._driver.tick(now)
        self._dispatching.tick(now)
        self._loans.tick(now)
        self._size.tick(now)
        self._presence.tick(now)
        if now >= self._glance_at:
            self._glance_at = now + GLANCE
            self._driver.measure(now)
            self._reap()

    def _watch_mold(self, mold: Mold) -> None:
        self._watch.watch(mold.channel, lambda: self._driver.listen_to_mold(mold))

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGCHLD:
            self._reap()
            return
        self.log.info("Handling signal: %s", number.name.removeprefix("SIG").lower())
        match number:
            case signal.SIGTERM:
                self._stop(graceful=not self._pool.stopping)
            case signal.SIGINT | signal.SIGQUIT:
                self._stop(graceful=False)
            case signal.SIGHUP:
                self._reload()
            case signal.SIGTTIN:
                self._resize(self._pool.size + 1)
            case signal.SIGTTOU:
                self._resize(self._pool.size - 1)
            case signal.SIGUSR1:
                self.log.reopen_files()
                self._driver.signal(signal.SIGUSR1)
                self._molds.signal(signal.SIGUSR1)
                self._dispatching.signal(signal.SIGUSR1)
            case signal.SIGUSR2:
                self._start_heir()
            case signal.SIGWINCH:
                self._pause()

    def _resize(self, size: int) -> None:
        self._driver.perform(self._pool.resize(size, time.monotonic()))

    def _pause(self) -> None:
        """WINCH: drain the workers and keep this master, as one does beside a new one. A terminal sends it, too."""
        if not self.settings.daemon and sys.stdin and sys.stdin.isatty():
            self.log.debug("WINCH means nothing to a master in a terminal: the size of the window has changed")
            return
        self._driver.perform(self._pool.pause(time.monotonic()))

    def _reap(self) -> None:
        heirs = [self._upgrading.heir] if self._upgrading.heir else []
        for pid, status in reaper.ended([*self._driver.pids, *self._dispatching.pids, *heirs], self._collects_all):
            if not self._driver.reaped(pid, status) and not self._dispatching.reaped(pid, status):
                self._upgrading.ended(pid, status)

    # Reloading

    def _code_changed(self, paths: Sequence[str]) -> None:
        """Files of the application have changed (setting reload)."""
        if self._changes is None:
            # Imported here: a server in production pays nothing for it.
            from unicorn_core.develop.changes import Changes

            self._changes = Changes()
        if self._pool.stopping or not self._changes.is_new(paths):
            return
        self.log.info("Reloading, since these have changed: %s", ", ".join(os.path.relpath(path) for path in paths))
        self._reload()

    def _reload(self) -> None:
        """A new generation with the settings as they are now; wrong ones are reported and change nothing."""
        if self._pool.stopping:
            return
        self._presence.reloading()
        try:
            generation = self._next_generation()
        except Exception as error:
            details = error.details if isinstance(error, UnicornError) else traceback.format_exc()
            self.log.error("Reload refused, nothing changed: %s", error)
            if details:
                self.log.error("%s", details.rstrip())
            self._presence.serves(f"Reload refused: {error}")
            return
        settings = generation.settings
        self.log.error_log.setLevel(settings.loglevel.upper())
        Hooks(settings, self.log).call("on_reload", self._server)
        self._dispatching.reload(settings)
        plan = generation.plan
        if settings.workers.maximum > settings.workers:
            # A pool that has grown with its load keeps what it needs.
            plan = replace(plan, size=min(max(self._pool.size, plan.size), settings.workers.maximum))
        actions = self._pool.reload(plan, time.monotonic())
        if self._pool.rollout:
            number = self._pool.rollout.generation
            self._generations[number] = generation
            self._molds.keep_only({self._pool.generation, number})
            self.log.info("Reloading: generation %s boots beside generation %s", number, self._pool.generation)
        self._driver.perform(actions)

    def _next_generation(self) -> Generation:
        """With the settings as they are now, but for those that only a restart changes.

        Raises:
            UnicornError: they are wrong, or cannot be read.
        """
        settings = self._load_settings()
        for warning in settings.warnings:
            self.log.warning("%s", warning)
        kept = settings.held_back(self.settings)
        for name in kept:
            self.log.warning("Setting %s has changed; that takes effect after a restart", name)
        generation = Generation.of(settings.replaced(**kept), self._load_application)
        # Not for long: meanwhile nobody looks after the workers. But one of ours may just be leaving the address.
        generation.listeners[:] = self._sockets.open(generation.settings, patience=0.5)
        return generation

    # What the driver asks and tells

    def listeners(self, slot: int, generation: Generation) -> Sequence[Listener]:
        """Where the workers of a slot accept in this generation."""
        return self._sockets.of_slot(slot, generation.listeners, generation.settings)

    def received(self, handle: Handle, message: Message) -> None:
        """A worker has seen files of the application change (setting reload), or chosen its class."""
        if isinstance(message, Changed):
            self._code_changed(message.paths)
        elif isinstance(message, Became) and handle.generation not in self._told_class:
            self._told_class.add(handle.generation)
            self.log.info("Using worker: %s (%s)", message.worker_class, message.why)

    def decided(self, action: messages.Action) -> None:
        """Carry out what the pool decides about itself."""
        match action:
            case messages.Resized(size, before):
                self._hooks.call("nworkers_changed", self._server, size, before)
            case messages.Complete(generation, size):
                self._keep_only(generation)
                self._tell_ready("Ready", generation, size)
            case messages.Reloaded(generation):
                self.settings = self._generations[generation].settings
                self._hooks = Hooks(self.settings, self.log)
                self._size = Size(self._driver, self._sockets, self.settings.workers)
                self._keep_only(generation)
                self._tell_ready("Reloaded", generation, self._pool.size)
            case messages.RolledBack(generation, failure):
                self._driver.tell_failure(failure)
                self.log.error("Reload failed: generation %s is withdrawn, the old one keeps serving", generation)
                self._molds.keep_only({self._pool.generation})
                self._presence.serves(f"Reload failed: {failure.message}")
                self.before_drains()
                self._sockets.close_ended()
            case messages.Halt(failure):
                self._driver.tell_failure(failure)
                self._halt(failure)
            case messages.Finished():
                self._finish()

    def _tell_ready(self, how: str, generation: int, size: int) -> None:
        text = f"generation {generation} serves with workers: {size}"
        self.log.info("%s: %s", how, text)
        self._presence.serves(f"{how}: {text}")

    def _keep_only(self, generation: int) -> None:
        """Forget the generations before; their workers drain with what they have."""
        listeners = self._generations[generation].listeners
        for number in [number for number in self._generations if number != generation]:
            del self._generations[number]
        self._molds.keep_only({generation})
        self._sockets.close_ended()
        self._server.listening(listeners)

    def before_drains(self) -> None:
        """End the sockets that no generation and no slot wants any more: they must not fill again."""
        pool = self._pool
        if pool.stopping:
            self._sockets.end(self._sockets)
            return
        numbers = {pool.generation, pool.rollout.generation if pool.rollout else pool.generation}
        wanted = [listener for number in numbers for listener in self._generations[number].listeners]
        self._sockets.end_others(wanted)
        if pool.size or pool.rollout:
            self._sockets.end_slots(len(pool.slots))

    # Upgrading

    def _shares_sockets(self) -> bool:
        return self._upgrading.heir != 0 or self._presence.has_former

    def _start_heir(self) -> None:
        """USR2: start the next master beside this one."""
        self._presence.tick(time.monotonic())
        if self._pool.stopping or self._presence.has_former:
            why = "is stopping" if self._pool.stopping else "is itself new, and the former one still there"
            self.log.warning("Signal USR2 is ignored: this master %s", why)
            return
        retires = self.settings.upgrade_mode == "auto"
        if retires and self.pid == 1:
            self.log.error("Cannot upgrade with upgrade_mode = auto: a container ends with this process (pid 1)")
            return
        self._hooks.call("pre_exec", self._server)
        self._upgrading.start(retires)
