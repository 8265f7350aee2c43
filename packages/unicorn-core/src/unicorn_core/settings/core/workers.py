"""The pool of workers: how many, how long, how they are replaced."""

from unicorn_core.settings.declaration import EnvironmentDefault, Setting, TakesEffect
from unicorn_core.settings.kinds import Bytes, Choice, ClassOrName, Integer, Text, WorkerCount

_SECTION = "Worker processes"

SETTINGS = (
    Setting(
        "workers",
        WorkerCount(1024),
        1,
        _SECTION,
        "How many worker processes to run: a number; auto, the CPUs that this process may use; or MIN..MAX, between "
        "which the pool grows while its workers are busy and shrinks while they are not. "
        "The environment variable WEB_CONCURRENCY changes the default.",
        ("-w", "--workers"),
        takes_effect=TakesEffect.LIVE,
        environment=EnvironmentDefault("WEB_CONCURRENCY"),
    ),
    Setting(
        "worker_class",
        ClassOrName(),
        "sync",
        _SECTION,
        "The kind of workers: the name of an installed worker class (sync, gthread, asgi, gevent, eventlet), or "
        "module:Class. Where none is named, an ASGI application gets asgi.",
        ("-k", "--worker-class"),
    ),
    Setting(
        "max_requests",
        Integer(),
        0,
        _SECTION,
        "How many requests a worker serves before it is replaced; 0: no limit.",
        ("--max-requests",),
    ),
    Setting(
        "max_requests_jitter",
        Integer(),
        0,
        _SECTION,
        "Up to so many requests are added to max_requests, differently for each worker, so that not all are "
        "replaced at once.",
        ("--max-requests-jitter",),
    ),
    Setting(
        "timeout",
        Integer(),
        30,
        _SECTION,
        "Seconds after which a worker that shows no sign of life is killed and replaced; 0: no limit.",
        ("-t", "--timeout"),
    ),
    Setting(
        "graceful_timeout",
        Integer(),
        30,
        _SECTION,
        "Seconds that a worker has for finishing its requests when it is asked to stop; then it is killed. "
        "0: no limit.",
        ("--graceful-timeout",),
    ),
    Setting(
        "worker_boot_timeout",
        Integer(),
        120,
        _SECTION,
        "Seconds that a new worker has until it is ready (application imported); 0: no limit.",
        ("--worker-boot-timeout",),
    ),
    Setting(
        "worker_max_memory",
        Bytes(),
        0,
        _SECTION,
        "Memory (resident set) beyond which a worker is replaced after its current request: bytes, or a number with "
        "K, M or G. It is looked at once a second, in workers that have served for 10 seconds; 0: no limit.",
        ("--worker-max-memory",),
    ),
    Setting(
        "worker_max_lifetime",
        Integer(),
        0,
        _SECTION,
        "Seconds after which a worker is replaced; 0: no limit.",
        ("--worker-max-lifetime",),
    ),
    Setting(
        "worker_max_lifetime_jitter",
        Integer(),
        0,
        _SECTION,
        "Up to so many seconds are added to worker_max_lifetime, differently for each worker.",
        ("--worker-max-lifetime-jitter",),
    ),
    Setting(
        "drain_delay",
        Integer(),
        0,
        _SECTION,
        "Seconds between SIGTERM and the end of accepting, for load balancers to notice: until then new connections "
        "are accepted and every answer says that its connection closes.",
        ("--drain-delay",),
    ),
    Setting(
        "reload_strategy",
        Choice(("all", "rolling")),
        "all",
        _SECTION,
        "How a reload (SIGHUP) replaces the workers. all: the new ones boot beside the old ones, which end once all "
        "new ones are ready. rolling: one worker after the other, with one process more than usual at most.",
        ("--reload-strategy",),
        takes_effect=TakesEffect.LIVE,
    ),
    Setting(
        "reload_canary",
        Text(metavar="PATH"),
        None,
        _SECTION,
        "In a reload the first new worker must answer a GET of this path with a status from 200 to 399 before it "
        "serves and before the others follow; else the reload is withdrawn.",
        ("--reload-canary",),
        takes_effect=TakesEffect.LIVE,
    ),
    Setting(
        "upgrade_mode",
        Choice(("manual", "auto")),
        "manual",
        _SECTION,
        "What follows when SIGUSR2 has started a new master beside this one. manual: both serve until one of them is "
        "told to stop. auto: this one stops by itself once the new one is ready.",
        ("--upgrade-mode",),
        takes_effect=TakesEffect.LIVE,
    ),
)
