"""What the log tells about the end of a worker."""

import os
import signal

from unicorn_core.arbiter.handle import Handle, exit_in_words
from unicorn_core.observe.logs import Logger, printable

_HEADER = "(most recent call first):"
_CURRENT = "Current thread"
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
_HINTS = {
    signal.SIGKILL: "Perhaps out of memory?",
    signal.SIGSEGV: "It crashed in C code.",
    signal.SIGBUS: "It crashed in C code, or a file that it had mapped was cut short.",
    signal.SIGILL: "It crashed in C code that was built for another processor.",
    signal.SIGFPE: "It crashed in C code.",
    signal.SIGABRT: "C code called abort(), or somebody sent the signal.",
    signal.SIGXCPU: "It used up its limit of CPU time.",
    signal.SIGXFSZ: "It wrote a file beyond its limit of size.",
}


def explain(handle: Handle, status: int, log: Logger) -> None:
    """Tell how a worker ended, and where it stood if it did not end in an orderly way."""
    how = exit_in_words(status)
    by_signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if handle.aborted:
        _explain_hang(handle, by_signal, log)
    elif (handle.ended_by and by_signal not in _CRASHES) or (handle.leaves and status == 0):
        log.debug("%s %s (%s)", handle.name, how, handle.ended_by or "as it said")
    elif by_signal:
        busy = busy_with(handle)
        log.error("%s %s!%s%s", handle.name, how, _hint(by_signal), f" It was {busy}" if busy else "")
        if stacks := _users_part(handle.last_stacks()):
            log.error("%s stood at:\n%s", handle.name, stacks)
    elif not handle.told:
        log.error("%s %s without having been asked to", handle.name, how)


def busy_with(handle: Handle) -> str:
    """The request that a worker is busy with; empty if there is none."""
    line, client, seconds = handle.row.busy_with()
    if not line:
        return ""
    whose = f" from {client}" if client else ""
    return f"busy with: {printable(line)}{whose}, for {seconds:.1f} s"


def _explain_hang(handle: Handle, by_signal: int, log: Logger) -> None:
    """A worker that got as far as its handler of SIGABRT has told by itself where its main thread stood."""
    stacks = _users_part(_one_dump(handle.last_stacks())).rstrip()
    if by_signal:
        log.error(
            "%s did not come back to Python within a second after SIGABRT: it is stuck in C code, or in "
            "the kernel; the stacks of its threads are all there is",
            handle.name,
        )
    if stacks and (by_signal or stacks.count(_HEADER) > 1):
        log.error("%s, all threads:\n%s", handle.name, stacks)


def _hint(number: int) -> str:
    hint = _HINTS.get(signal.Signals(number)) if number in set(signal.Signals) else None
    return f" {hint}" if hint else ""


def _one_dump(stacks: str) -> str:
    """The stacks are written twice, on our own signal and for SIGABRT, which may come in any order."""
    ours, _, aborted = stacks.partition("Fatal Python error: Aborted")
    if _HEADER in ours:
        return ours
    lines = aborted.strip().splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(_CURRENT)]
    if len(begins) < 2:
        return aborted
    headers = [number for number, line in enumerate(lines) if line.endswith(_HEADER)]
    return "\n".join(lines[: headers[len(headers) // 2]])


def _users_part(stacks: str) -> str:
    """Stacks of the fault handler, most recent calls first, without the frames that led to the user's code."""
    lines: list[str] = []
    own = False
    for line in stacks.splitlines():
        if not line.startswith("  File "):
            own = False
        elif "/unicorn_" in line and not own:
            own = True
            if not lines[-1].startswith("  File "):
                lines.append(line)  # this thread stands in the server itself
        if not own:
            lines.append(line)
    return "\n".join(lines)
