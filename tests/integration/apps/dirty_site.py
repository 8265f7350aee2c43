"""A site written for gunicorn's dirty pool; the test of the dispatcher runs it with the imports changed as well."""

import json

from gunicorn.dirty import DirtyApp, get_dirty_client, get_dirty_client_async, stash
from gunicorn.dirty.errors import (
    DirtyAppError,
    DirtyConnectionError,
    DirtyError,
    DirtyNoWorkersAvailableError,
    DirtyTimeoutError,
)


class Counting(DirtyApp):
    """Keeps what it counts."""

    workers = 1

    def init(self):
        self.total = 0

    def add(self, amount, by=1):
        self.total += amount * by
        return {"total": self.total, 5: (1, 2), "bytes": b"\x00\xff", "none": None}

    def echo(self, *args, **kwargs):
        return [args, kwargs]

    def fail(self, text):
        raise KeyError(text)

    def count(self, limit):
        for number in range(limit):
            yield {"number": number, "pair": (number, number)}

    async def count_later(self, limit):
        for number in range(limit):
            yield number

    def breaks(self):
        yield 1
        raise RuntimeError("broke")

    def slow(self, seconds):
        import time

        time.sleep(seconds)
        return "slow"

    def remember(self, key, value):
        stash.put("site", key, value)
        table = stash.table("site")
        table[key + "-again"] = (value, value)
        return sorted(table.keys())

    def close(self):
        pass


class Overriding(DirtyApp):
    """Decides by itself what an action is."""

    def __call__(self, action, *args, **kwargs):
        if action == "known":
            return ["known", *args]
        return super().__call__(action, *args, **kwargs)

    def method(self):
        return "method"


def plain_class():
    return Plain


class Plain:
    """No subclass of anything."""

    def init(self):
        self.ready = True

    def __call__(self, action, *args, **kwargs):
        return {"action": action, "args": args, "ready": self.ready}

    def close(self):
        pass


APP = "dirty_site:Counting"


def attempt(run):
    """What a call gives, or what it raises as far as a user relies on it."""
    try:
        return run()
    except DirtyTimeoutError:
        return "timeout"
    except DirtyNoWorkersAvailableError as error:
        return ["no workers", error.app_path]
    except DirtyAppError as error:
        return ["app error", error.message, error.app_path, error.action, "Traceback" in (error.traceback or "")]
    except DirtyConnectionError:
        return "connection"
    except DirtyError as error:
        return ["error", error.message]


def streamed(client, *call):
    values = []

    def run():
        values.extend(client.stream(*call))
        return values

    return [attempt(run), values]


async def in_a_loop(*call):
    client = await get_dirty_client_async()
    await client.connect_async()
    result = await client.execute_async(*call)
    values = [value async for value in client.stream_async(APP, "count", 2)]
    await client.close_async()
    return [result, values]


def stash_session():
    stash.put("tables", "a", {"x": 1})
    stash.put("tables", "b", [1, 2])
    table = stash.table("tables")
    found = {
        "get": stash.get("tables", "a"),
        "keys": sorted(stash.keys("tables")),
        "pattern": stash.keys("tables", pattern="a*"),
        "len": len(table),
        "in": ["a" in table, "z" in table],
        "items": sorted(table.items(), key=str),
        "exists": [
            stash.exists("tables"),
            stash.exists("tables", "a"),
            stash.exists("nowhere"),
            stash.exists("tables", "q"),
        ],
        "delete": [stash.delete("tables", "b"), stash.delete("tables", "b")],
        "size": stash.info("tables")["size"],
        "tables": "tables" in stash.tables(),
        "name": table.name,
    }
    stash.clear("tables")
    found["cleared"] = stash.keys("tables")
    stash.delete_table("tables")
    found["deleted"] = stash.exists("tables")
    return found


def app(environ, start_response):
    import asyncio

    client = get_dirty_client(timeout=10)
    path = environ["PATH_INFO"]
    result = {
        "/add": lambda: [client.execute(APP, "add", 2), client.execute(APP, "add", 3, by=2)],
        "/echo": lambda: client.execute(APP, "echo", 1, (2, 3), timeout=5, nested={1: {2: (3,)}}),
        "/fail": lambda: attempt(lambda: client.execute(APP, "fail", "why")),
        "/unknown-app": lambda: attempt(lambda: client.execute("nowhere:App", "x")),
        "/stream": lambda: streamed(client, APP, "count", 3),
        "/stream-async": lambda: streamed(client, APP, "count_later", 3),
        "/stream-breaks": lambda: streamed(client, APP, "breaks"),
        "/overriding": lambda: [client.execute("dirty_site:Overriding", name) for name in ("known", "method")],
        "/plain": lambda: client.execute("dirty_site:Plain", "whatever", 1, 2),
        "/remember": lambda: [
            client.execute(APP, "remember", "k", 7),
            stash.get("site", "k"),
            stash.get("site", "k-again"),
        ],
        "/stash": stash_session,
        "/loop": lambda: asyncio.run(in_a_loop(APP, "echo", 1)),
        "/timeout": lambda: attempt(lambda: get_short().execute(APP, "slow", 2)),
    }[path]()
    body = json.dumps(result, default=lambda value: {"bytes": list(value)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def get_short():
    from gunicorn.dirty.client import DirtyClient, get_dirty_socket_path

    return DirtyClient(get_dirty_socket_path(), timeout=0.5)
