"""The messages on a control channel, between the arbiter and a worker or a mold."""

import msgspec


class Born(msgspec.Struct, tag="born", frozen=True):
    """Worker to arbiter, from one that a mold forked: the process that it is."""

    pid: int


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """Worker to arbiter: the application is loaded and requests are served from now on."""


class Became(msgspec.Struct, tag="became", frozen=True):
    """Worker to arbiter, as it boots: it is of this worker class now, for the settings name none."""

    worker_class: str
    why: str


class BootFailed(msgspec.Struct, tag="boot_failed", frozen=True):
    """Worker or mold to arbiter: it cannot serve, and why."""

    message: str
    details: str
    exit_code: int


class Recycle(msgspec.Struct, tag="recycle", frozen=True):
    """Worker to arbiter: replace me (max_requests)."""

    reason: str


class Changed(msgspec.Struct, tag="changed", frozen=True):
    """Worker to arbiter: these files of the application have changed (setting reload)."""

    paths: tuple[str, ...]


class Probe(msgspec.Struct, tag="probe", frozen=True):
    """Arbiter to worker, before it serves: only be ready if the application answers this path well."""

    path: str


class LameDuck(msgspec.Struct, tag="lame_duck", frozen=True):
    """Arbiter to worker: go on accepting, but let every connection end with its next answer."""


class Drain(msgspec.Struct, tag="drain", frozen=True):
    """Arbiter to worker: accept no more, finish what you have, and leave.

    If `ends`, so do the listeners: nobody accepts afterwards, and what the kernel has accepted must be served now.
    """

    ends: bool = False


class Borrow(msgspec.Struct, tag="borrow", frozen=True):
    """Arbiter to worker: accept from the sockets of this slot as well; their descriptors come with the message."""

    slot: int
    descriptors: int


class GiveBack(msgspec.Struct, tag="give_back", frozen=True):
    """Arbiter to worker: accept no more from the sockets of this slot; empty their queues first if it `ends`."""

    slot: int
    ends: bool


class Fork(msgspec.Struct, tag="fork", frozen=True):
    """Arbiter to mold: fork this worker.

    With it come the descriptors of the worker's end of its channel, of its scoreboard segment, of its file for
    last stacks, and of its listeners, in this order.
    """

    worker: int
    slot: int
    row: int
    descriptors: int


class Molded(msgspec.Struct, tag="molded", frozen=True):
    """Mold to arbiter: the application is imported; what of it may suffer from being forked."""

    unsafe: tuple[str, ...]


class Reaped(msgspec.Struct, tag="reaped", frozen=True):
    """Mold to arbiter, where the system gives no orphans to the arbiter: a worker has ended."""

    pid: int
    status: int


class Import(msgspec.Struct, tag="import", frozen=True):
    """Dispatcher to task worker, as it boots: import these apps and tell about them."""

    apps: tuple[str, ...]


class AppTraits(msgspec.Struct, frozen=True):
    """What the class of a task app says.

    Attributes:
        workers: how many task workers shall load it; None: all.
        stashes: tables of the stash that it wants to be there.
        batches: its actions that take a list of calls, and of how many at most.
        waits: for how many seconds at most these gather a list.
        retries: its actions that may run again after their task worker has crashed.
        lenient: an action that runs for too long is left running.
    """

    workers: int | None = None
    stashes: tuple[str, ...] = ()
    batches: dict[str, int] = {}
    waits: dict[str, float] = {}
    retries: tuple[str, ...] = ()
    lenient: bool = False


class Imported(msgspec.Struct, tag="imported", frozen=True):
    """Task worker to dispatcher: what it was asked to import."""

    apps: dict[str, AppTraits]


class Assign(msgspec.Struct, tag="assign", frozen=True):
    """Dispatcher to task worker: make these apps ready, and take tasks from the socket whose descriptor comes along."""

    apps: tuple[str, ...]


Message = (
    Born
    | Ready
    | BootFailed
    | Became
    | Recycle
    | Changed
    | Probe
    | LameDuck
    | Drain
    | Borrow
    | GiveBack
    | Fork
    | Molded
    | Reaped
    | Import
    | Imported
    | Assign
)
