"""The worker classes by name. This module is imported in the arbiter, which must know nothing of green threads."""

from unicorn_workers_gevent.worker import GreenWorker

EVENTLET_ENDS = (
    "The worker class eventlet works, but eventlet is deprecated by its maintainers, who advise against new use: the "
    "worker classes gevent (pip install 'unicorn-workers-gevent[gevent]') and asgi are ways on"
)


class GeventWorker(GreenWorker):
    """The worker class `gevent`."""

    library = "gevent"


class EventletWorker(GreenWorker):
    """The worker class `eventlet`."""

    library = "eventlet"

    def boot(self) -> None:
        if self.age == 1:
            self.log.warning("%s", EVENTLET_ENDS)
        super().boot()
