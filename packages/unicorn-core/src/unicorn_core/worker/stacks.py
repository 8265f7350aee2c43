"""Where the threads of a worker stand, told also when Python itself is stuck or crashes.

The arbiter hands each worker the descriptor of a nameless file. Python's fault handler writes the stacks of all threads
into it on a signal of our own, without running any Python code, and on a crash; the arbiter reads it after the end.
"""

import faulthandler
import signal
import sys

SIGNAL: int = signal.SIGRTMAX - 2 if sys.platform == "linux" else signal.SIGINFO  # type: ignore[attr-defined,unused-ignore]
"""The signal on which the stacks are written; of the real-time signals one that hardly anybody uses."""


def install(descriptor: int) -> None:
    """In a worker, after its own handler of SIGABRT: the fault handler takes that signal too, and hands it on."""
    faulthandler.enable(descriptor, all_threads=True)
    faulthandler.register(SIGNAL, descriptor, all_threads=True)
