"""What there is to see of the dispatcher: queues, times and counts, by task worker and by app."""

from typing import Any

from msgspec import to_builtins

from unicorn_core.dispatch.dispatcher.crew import Crew
from unicorn_core.dispatch.dispatcher.router import Router
from unicorn_core.dispatch.rules.histogram import Histogram, Times


def status(router: Router, crew: Crew, clients: int) -> dict[str, Any]:
    """Plain values only. Times are seconds; `buckets` are pairs of an upper bound and how many did not exceed it."""
    pids = {handle.number: handle.pid for handle in crew.driver.handles.values()}
    by_worker = router.timings.by_worker()
    workers = [
        {
            "worker": member.number,
            "slot": member.slot,
            "pid": pids.get(member.number, 0),
            "state": "leaving" if member.leaving else "ready" if member.ready else "booting",
            "apps": {app: _times(by_worker.get(member.number, {}).get(app, Times())) for app in sorted(member.apps)},
            "queued": member.queue.qsize(),
            "running": sum(1 for _ in member.running()),
            **to_builtins(member.tally),
        }
        for member in router.roster.members.values()
    ]
    by_app: dict[str, Times] = router.timings.by_app()
    apps = {app: {**to_builtins(tally), **_times(by_app.get(app, Times()))} for app, tally in router.tallies.items()}
    return {
        "size": crew.pool.size,
        "generation": crew.pool.generation,
        "clients": clients,
        "queued": sum(place.queue.qsize() for place in router.roster.places()),
        "workers": workers,
        "apps": apps,
    }


def _times(times: Times) -> dict[str, Any]:
    return {"wait": _histogram(times.wait), "run": _histogram(times.run)}


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {
        "count": histogram.count,
        "total": histogram.total,
        "longest": histogram.longest,
        "p50": histogram.quantile(0.5),
        "p99": histogram.quantile(0.99),
        "buckets": [list(pair) for pair in histogram.cumulative()],
    }
