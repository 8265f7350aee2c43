"""The queue dispatcher: which task apps it runs, in how many task workers, and its limits (docs/dispatch.md).

Each setting and hook is also known by the name that it has in gunicorn's configurations.
"""

from unicorn_core.settings.declaration import Setting, TakesEffect
from unicorn_core.settings.kinds import Bytes, Choice, Hook, Integer, Seconds
from unicorn_core.settings.task_apps import TaskApps

_SECTION = "Queue dispatcher"


def _hook(name: str, alias: str, arguments: str, help: str) -> Setting:
    names = tuple(arguments.split(", "))
    return Setting(name, Hook(names), None, _SECTION, f"{help} Called as {name}({arguments}).", aliases=(alias,))


SETTINGS = (
    Setting(
        "dispatch_apps",
        TaskApps(),
        (),
        _SECTION,
        "The task apps: module:Class each, or module:Class:N for one that only N task workers load. May be given "
        "several times.",
        ("--dirty-app", "--dispatch-app"),
        repeatable=True,
        aliases=("dirty_apps",),
    ),
    Setting(
        "dispatch_workers",
        Integer(0, 1024),
        0,
        _SECTION,
        "How many task workers run the task apps; 0: there is no dispatcher. Not more are started than the apps need.",
        ("--dirty-workers", "--dispatch-workers"),
        aliases=("dirty_workers",),
    ),
    Setting(
        "dispatch_threads",
        Integer(1, 1024),
        1,
        _SECTION,
        "How many tasks run at a time in one task worker, each in a thread.",
        ("--dirty-threads", "--dispatch-threads"),
        aliases=("dirty_threads",),
    ),
    Setting(
        "dispatch_timeout",
        Seconds(),
        300,
        _SECTION,
        "Seconds after which a task that still runs is ended together with its task worker; also how long a call "
        "waits if it does not say so itself. 0: no limit.",
        ("--dirty-timeout", "--dispatch-timeout"),
        aliases=("dirty_timeout",),
    ),
    Setting(
        "dispatch_boot_timeout",
        Seconds(optional=True),
        None,
        _SECTION,
        "Seconds that a new task worker has until its apps are imported and their init() is done; by default "
        "dispatch_timeout. 0: no limit.",
        ("--dispatch-boot-timeout",),
    ),
    Setting(
        "dispatch_graceful_timeout",
        Seconds(),
        30,
        _SECTION,
        "Seconds that tasks have for finishing when their task worker or the dispatcher is asked to stop. 0: no limit.",
        ("--dirty-graceful-timeout", "--dispatch-graceful-timeout"),
        aliases=("dirty_graceful_timeout",),
    ),
    Setting(
        "dispatch_queue_size",
        Integer(),
        1000,
        _SECTION,
        "How many requests may wait for one task worker; a call beyond that fails at once. 0: no limit.",
        ("--dispatch-queue-size",),
    ),
    Setting(
        "dispatch_routing",
        Choice(("least_loaded", "round_robin")),
        "least_loaded",
        _SECTION,
        "Which of the task workers that hold the app gets a call. least_loaded: the one with the fewest calls, in turn "
        "where several have equally few. round_robin: strictly in turn, however busy they are.",
        ("--dispatch-routing",),
    ),
    Setting(
        "dispatch_serializer",
        Choice(("msgpack", "pickle")),
        "msgpack",
        _SECTION,
        "How arguments and results travel. pickle also takes what msgpack cannot express; whoever may connect to the "
        "dispatcher can then run any code in the task workers.",
        ("--dispatch-serializer",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "dispatch_max_payload",
        Bytes(),
        64 << 20,
        _SECTION,
        "How large the arguments of a call, its result, or one item of a stream may be: bytes, or a number with K, M "
        "or G.",
        ("--dispatch-max-payload",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "dispatch_max_stash",
        Bytes(),
        1 << 30,
        _SECTION,
        "How much memory all tables of the stash may take together: bytes, or a number with K, M or G.",
        ("--dispatch-max-stash",),
        takes_effect=TakesEffect.RESTART,
    ),
    _hook(
        "on_dispatch_starting",
        "on_dirty_starting",
        "arbiter",
        "In the dispatcher, before it starts task workers.",
    ),
    _hook(
        "dispatch_post_fork", "dirty_post_fork", "arbiter, worker", "In the dispatcher, after it forked a task worker."
    ),
    _hook("dispatch_worker_init", "dirty_worker_init", "worker", "In a task worker, when its apps are ready."),
    _hook(
        "dispatch_worker_exit",
        "dirty_worker_exit",
        "arbiter, worker",
        "In the dispatcher, when a task worker's process has ended.",
    ),
)
