"""The settings that unicorn-core itself uses. Names, flags and defaults are those of gunicorn where it has them."""

from unicorn_core.settings.core import configuration, debugging, dispatch, hooks, logs, mechanics, sockets, workers

SETTINGS = (
    *configuration.SETTINGS,
    *sockets.SETTINGS,
    *workers.SETTINGS,
    *logs.SETTINGS,
    *mechanics.SETTINGS,
    *debugging.SETTINGS,
    *hooks.SETTINGS,
    *dispatch.SETTINGS,
)
