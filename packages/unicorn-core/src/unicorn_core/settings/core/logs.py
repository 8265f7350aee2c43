"""The error log and the access log."""

from unicorn_core.settings.declaration import Setting, TakesEffect
from unicorn_core.settings.kinds import Choice, Switch, Text, Verbatim

_SECTION = "Logging"

ACCESS_LOG_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

SETTINGS = (
    Setting(
        "accesslog",
        Text(metavar="FILE"),
        None,
        _SECTION,
        "The file for the access log; '-' is standard output. Off by default.",
        ("--access-logfile",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "access_log_format",
        Verbatim(metavar="FORMAT"),
        ACCESS_LOG_FORMAT,
        _SECTION,
        "The line of the access log: %(h)s client address, %(l)s '-', %(u)s user, %(t)s time, %(r)s request line, "
        "%(m)s method, %(U)s path, %(q)s query, %(H)s protocol, %(s)s status, %(B)s bytes of the body, %(b)s the "
        "same or '-', %(f)s referer, %(a)s user agent, %(T)s seconds, %(M)s milliseconds, %(D)s microseconds, "
        "%(L)s decimal seconds, %(p)s process id, %({name}i)s request header, %({name}o)s response header, "
        "%({name}e)s environ variable.",
        ("--access-logformat",),
    ),
    Setting(
        "errorlog",
        Text(optional=False, metavar="FILE"),
        "-",
        _SECTION,
        "The file for the error log; '-' is standard error.",
        ("--error-logfile", "--log-file"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "loglevel",
        Choice(("debug", "info", "warning", "error", "critical"), aliases=(("warn", "warning"),)),
        "info",
        _SECTION,
        "The lowest level that the error log shows.",
        ("--log-level",),
        takes_effect=TakesEffect.LIVE,
    ),
    Setting(
        "enable_stdio_inheritance",
        Switch(),
        False,
        _SECTION,
        "Keep standard output and error of a daemon, for what the application prints.",
        ("-R", "--enable-stdio-inheritance"),
        flag_sets=True,
        takes_effect=TakesEffect.RESTART,
    ),
)
