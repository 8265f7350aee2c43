"""Task apps for the tests of the dispatcher."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from unicorn_core.dispatch import TaskApp, batched, get_client, retry_on_crash, stash


@dataclass
class Point:
    x: int
    y: int


class Basic(TaskApp):
    """Calls of every kind."""

    stashes = ("made-by-basic",)
    level = 3

    def init(self):
        self.began = time.monotonic()
        self.callable_thing = lambda: "not for the wire"

    def noop(self):
        return None

    def same(self, value):
        return value

    def arguments(self, *args, **kwargs):
        return args, kwargs

    def pid(self):
        return os.getpid()

    def thread(self):
        return threading.get_native_id()

    def nap(self, seconds):
        time.sleep(seconds)
        return os.getpid()

    def fail(self, message="no way"):
        raise ValueError(message)

    def leave(self):
        raise SystemExit(7)

    def die(self, number=signal.SIGKILL):
        os.kill(os.getpid(), number)
        time.sleep(60)

    @retry_on_crash
    def die_once(self, path):
        """Die, unless a file is there; it is made before."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "lived"
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        return "never"

    def pieces_at_once(self, size, seconds=0.0):
        time.sleep(seconds)
        return b"x" * size

    def unsendable(self):
        return object()

    async def later(self, value):
        await asyncio.sleep(0.001)
        return value

    def count(self, limit):
        yield from range(limit)

    async def count_later(self, limit):
        for number in range(limit):
            await asyncio.sleep(0)
            yield number

    def count_and_fail(self, limit):
        yield from range(limit)
        raise ValueError("in the middle")

    def pieces(self, size, limit):
        for _ in range(limit):
            yield b"x" * size

    def trace(self, path, limit=1_000_000):
        """Write to a file how far it got, and at last that it was closed."""
        try:
            for number in range(limit):
                with open(path, "w") as file:
                    file.write(str(number))
                yield number
        finally:
            with open(path + ".closed", "w") as file:
                file.write("closed")

    def stall(self, seconds):
        yield "first"
        time.sleep(seconds)
        yield "second"

    def write(self, path, seconds=0.0):
        time.sleep(seconds)
        with open(path, "a") as file:
            file.write("ran\n")

    def nested(self, app, action, *args):
        return get_client().execute(app, action, *args)

    def bump(self, times):
        for _ in range(times):
            stash.increment("counters", "bumped")

    def in_subprocess(self):
        code = (
            "from unicorn_core.dispatch import get_client; print(get_client().execute('task_apps:Basic', 'same', 'me'))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, cwd=os.path.dirname(__file__)
        )
        return done.stdout.strip() or done.stderr

    @batched(max_size=8, max_wait=0.05)
    def double(self, numbers):
        return [
            (2 * number, len(numbers)) if number >= 0 else ValueError(f"{number} is negative") for number in numbers
        ]

    @batched(max_size=4, max_wait=0.01)
    def wrong_batch(self, numbers):
        return numbers[:-1]


class Other(TaskApp):
    """An app that one worker holds."""

    workers = 1

    def name(self):
        return "other"

    def pid(self):
        return os.getpid()


class Decides:
    """No subclass of TaskApp, and its own `__call__`."""

    def init(self):
        self.calls = 0

    def __call__(self, action, *args, **kwargs):
        self.calls += 1
        return [action, list(args), kwargs, self.calls]

    def close(self):
        pass


class Lenient(TaskApp):
    """What runs too long is left alone."""

    on_timeout = "leave"

    def nap(self, seconds):
        time.sleep(seconds)
        return os.getpid()


class Lists(TaskApp):
    """Two actions that take lists."""

    @batched(max_size=3, max_wait=1.0)
    def slow(self, numbers):
        time.sleep(20)
        return numbers

    @batched(max_size=3, max_wait=0.0)
    def note(self, paths):
        for path in paths:
            with open(path, "a") as file:
                file.write("noted\n")
        return ["noted"] * len(paths)


class SlowSecond(TaskApp):
    """As soon as a file is there, the first one to boot takes long."""

    folder = ""

    def init(self):
        if os.path.exists(os.path.join(self.folder, "armed")):
            try:
                os.mkdir(os.path.join(self.folder, "slow"))
            except FileExistsError:
                time.sleep(0.5)
            else:
                time.sleep(12)

    def pid(self):
        return os.getpid()


class Asks(TaskApp):
    """It calls another app while it is made ready."""

    def init(self):
        began = time.monotonic()
        try:
            self.answer = get_client().with_options(timeout=20).execute("task_apps:Basic", "same", "answered")
        except Exception as error:
            self.answer = str(error)
        self.seconds = time.monotonic() - began

    def told(self):
        return self.answer, self.seconds


class Broken(TaskApp):
    """It cannot be made ready."""

    def init(self):
        raise RuntimeError("the model is missing")


class Endless(TaskApp):
    """It is never ready."""

    def init(self):
        time.sleep(60)


class Goodbye(TaskApp):
    """It tells a file when it is closed."""

    path = os.environ.get("GOODBYE", "")

    def pid(self):
        return os.getpid()

    def close(self):
        with open(self.path, "a") as file:
            file.write("closed\n")
