"""The base class of dirty apps."""

from unicorn_core.dispatch.app import TaskApp


class DirtyApp(TaskApp):
    """A task app by the name that it has in gunicorn."""
