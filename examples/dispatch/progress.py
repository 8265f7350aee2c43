"""The dispatcher without a server: many tasks in four processes, and a bar that grows.

python progress.py 40
"""

import sys
import time

from tasks import Reports

from unicorn_core.dispatch import Dispatcher


def main(count: int) -> None:
    """Make so many reports."""
    began = time.monotonic()
    with Dispatcher(apps=[Reports], workers=4) as dispatcher:
        (reports,) = dispatcher.apps
        names = (f"report {number}" for number in range(count))
        for done, _ in enumerate(dispatcher.client.map(reports, "make", names, ordered=False), 1):
            bar = "#" * (40 * done // count)
            print(f"\r[{bar:40}] {done} of {count}", end="", flush=True)
    print(f"\n{count} reports of 0.2 s each took {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
