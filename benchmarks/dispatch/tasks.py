"""The task app of the benchmark: a plain class, as gunicorn's dirty pool and our dispatcher both take."""

import time


class Tasks:
    def init(self):
        pass

    def close(self):
        pass

    def __call__(self, action, *args, **kwargs):
        return getattr(self, action)(*args, **kwargs)

    def noop(self):
        return None

    def nap(self, seconds):
        time.sleep(seconds)

    def echo(self, data):
        return data
