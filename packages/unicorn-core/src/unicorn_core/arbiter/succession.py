"""From one master to the next (SIGUSR2), as the next one sees it: finding out that it has a former master.

The heir is the same command line run again, from whatever is installed by now, with the listeners of the former master
and a pipe for saying that it serves.
"""

import contextlib
import os
from collections.abc import MutableMapping

FORMER = "UNICORN_FORMER_MASTER"
"""The environment variable with the former master's process id."""
PIPE = "UNICORN_READY_FD"
"""The one with the descriptor on which the heir says that it serves."""
SERVES = b"serves\n"


class Heritage:
    """What this master has from a former one.

    Attributes:
        former: the process id of the former master; 0 if there is none (any more).
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Read and remove the variables: the workers' own children must not take them for theirs."""
        former, pipe = environ.pop(FORMER, ""), environ.pop(PIPE, "")
        self.former = int(former) if former.isdecimal() else 0
        self._pipe = int(pipe) if pipe.isdecimal() else None
        if self._pipe is not None:
            os.set_inheritable(self._pipe, False)

    def serves(self) -> None:
        """Tell the former master that this one serves."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, SERVES)
            self.forget()

    def forget(self) -> None:
        """Close the pipe."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def former_is_gone(self) -> bool:
        """There was a former master, and it has ended since the last call."""
        if self.former and os.getppid() != self.former:
            self.former = 0
            return True
        return False


def start_folder() -> str:
    """The working folder, by the name that the shell knows it by: a link may lead to a newer release by next time."""
    folder = os.getcwd()
    shell = os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if shell and os.path.samefile(shell, folder):
            return shell
    return folder
