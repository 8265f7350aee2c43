"""Checking and developing."""

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Choice, Switch, Texts

_SECTION = "Debugging"

SETTINGS = (
    Setting(
        "reload",
        Switch(),
        False,
        _SECTION,
        "For development: restart the workers when code that the application imported changes.",
        ("--reload",),
        flag_sets=True,
    ),
    Setting(
        "reload_engine",
        Choice(("auto", "poll", "watchfiles"), aliases=(("inotify", "watchfiles"),)),
        "auto",
        _SECTION,
        "How --reload notices changes: watchfiles (a package to install), by polling, or auto: the former where it "
        "is installed.",
        ("--reload-engine",),
    ),
    Setting(
        "reload_extra_files",
        Texts(metavar="FILES"),
        (),
        _SECTION,
        "Further files, or patterns such as templates/**/*.html, that --reload watches. May be given several times.",
        ("--reload-extra-file",),
        repeatable=True,
    ),
    Setting(
        "check_config",
        Switch(),
        False,
        _SECTION,
        "Check the settings, import the application and the task apps, and exit: 0 if that works. Whether it starts "
        "(lifespan) is not tried.",
        ("--check-config",),
        flag_sets=True,
    ),
    Setting(
        "print_config",
        Switch(),
        False,
        _SECTION,
        "Print every setting with its value and where that came from, check as --check-config does, and exit.",
        ("--print-config",),
        flag_sets=True,
    ),
)
