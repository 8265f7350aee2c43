"""Where the green threads of a worker stand."""

import traceback
from collections.abc import Mapping

from unicorn_workers_gevent.green import Green, Greenlet

MOST = 50
"""Green threads that are told of."""


def described(green: Green, requests: Mapping[Greenlet, str]) -> str:
    """Each green thread with where it stands, the outermost call first, those before all that serve `requests`."""
    others = [one for one in green.waiting_greenlets() if one not in requests]
    parts = []
    for one in [*requests, *others][:MOST]:
        what = requests.get(one, "no request of a client")
        if one.gr_frame is None:
            parts.append(f"runs, with {what}\n")
            continue
        summary = traceback.extract_stack(one.gr_frame)
        parts.append(f"waits, with {what}:\n{''.join(summary.format())}")
    if len(requests) + len(others) > MOST:
        parts.append(f"... and {len(requests) + len(others) - MOST} more\n")
    return "".join(parts).rstrip()
