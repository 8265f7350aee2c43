"""Which configuration and which application."""

from unicorn_core.settings.declaration import Setting, TakesEffect
from unicorn_core.settings.kinds import Text

_SECTION = "Configuration"

SETTINGS = (
    Setting(
        "config",
        Text(metavar="CONFIG"),
        None,
        _SECTION,
        "The configuration file: PATH, file:PATH or python:MODULE. Without it ./unicorn.conf.py is read, "
        "or else ./gunicorn.conf.py.",
        ("-c", "--config"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "wsgi_app",
        Text(metavar="APP"),
        None,
        _SECTION,
        "The application, for when the command line names none: module:attribute, module:factory() or module "
        "(attribute application or app).",
    ),
)
