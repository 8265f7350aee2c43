"""The settings that unicorn-core itself uses. Names, flags and defaults are those of gunicorn where it has them."""

import os

from unicorn_core.settings.declaration import EnvironmentDefault, Setting, TakesEffect
from unicorn_core.settings.kinds import (
    Assignments,
    Choice,
    ClassOrName,
    Folder,
    GroupId,
    Integer,
    Mask,
    Switch,
    Text,
    Texts,
    UserId,
    Verbatim,
)

_CONFIG = "Configuration"
_SOCKET = "Server socket"
_WORKERS = "Worker processes"
_LOGGING = "Logging"
_MECHANICS = "Server mechanics"
_DEBUGGING = "Debugging"

ACCESS_LOG_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

SETTINGS = (
    Setting(
        "config",
        Text(metavar="CONFIG"),
        None,
        _CONFIG,
        "The configuration file: PATH, file:PATH or python:MODULE. Without it ./unicorn.conf.py is read, "
        "or else ./gunicorn.conf.py.",
        ("-c", "--config"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "wsgi_app",
        Text(metavar="APP"),
        None,
        _CONFIG,
        "The application, for when the command line names none: module:attribute, module:factory() or module "
        "(attribute application or app).",
    ),
    Setting(
        "bind",
        Texts(metavar="ADDRESS"),
        ("127.0.0.1:8000",),
        _SOCKET,
        "Where to listen: HOST, HOST:PORT, :PORT, [IPv6]:PORT, unix:PATH or fd://N. May be given several times. "
        "The environment variable PORT changes the default to 0.0.0.0:$PORT.",
        ("-b", "--bind"),
        repeatable=True,
        takes_effect=TakesEffect.RESTART,
        environment=EnvironmentDefault("PORT", lambda port: f"0.0.0.0:{port}"),
    ),
    Setting(
        "backlog",
        Integer(1, 2**31 - 1),
        2048,
        _SOCKET,
        "How many connections may wait in a listener's queue to be accepted; the system may cap it.",
        ("--backlog",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "workers",
        Integer(1, 1024),
        1,
        _WORKERS,
        "How many worker processes to run. The environment variable WEB_CONCURRENCY changes the default.",
        ("-w", "--workers"),
        takes_effect=TakesEffect.LIVE,
        environment=EnvironmentDefault("WEB_CONCURRENCY"),
    ),
    Setting(
        "worker_class",
        ClassOrName(),
        "sync",
        _WORKERS,
        "The kind of workers: the name of an installed worker class, or module:Class.",
        ("-k", "--worker-class"),
    ),
    Setting(
        "max_requests",
        Integer(),
        0,
        _WORKERS,
        "How many requests a worker serves before it is replaced; 0: no limit.",
        ("--max-requests",),
    ),
    Setting(
        "max_requests_jitter",
        Integer(),
        0,
        _WORKERS,
        "Up to so many requests are added to max_requests, differently for each worker, so that not all are "
        "replaced at once.",
        ("--max-requests-jitter",),
    ),
    Setting(
        "timeout",
        Integer(),
        30,
        _WORKERS,
        "Seconds after which a worker that shows no sign of life is killed and replaced; 0: no limit.",
        ("-t", "--timeout"),
    ),
    Setting(
        "graceful_timeout",
        Integer(),
        30,
        _WORKERS,
        "Seconds that a worker has for finishing its requests when it is asked to stop; then it is killed. "
        "0: no limit.",
        ("--graceful-timeout",),
    ),
    Setting(
        "worker_boot_timeout",
        Integer(),
        120,
        _WORKERS,
        "Seconds that a new worker has until it is ready (application imported); 0: no limit.",
        ("--worker-boot-timeout",),
    ),
    Setting(
        "accesslog",
        Text(metavar="FILE"),
        None,
        _LOGGING,
        "The file for the access log; '-' is standard output. Off by default.",
        ("--access-logfile",),
    ),
    Setting(
        "access_log_format",
        Verbatim(metavar="FORMAT"),
        ACCESS_LOG_FORMAT,
        _LOGGING,
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
        _LOGGING,
        "The file for the error log; '-' is standard error.",
        ("--error-logfile", "--log-file"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "loglevel",
        Choice(("debug", "info", "warning", "error", "critical"), aliases=(("warn", "warning"),)),
        "info",
        _LOGGING,
        "The lowest level that the error log shows.",
        ("--log-level",),
        takes_effect=TakesEffect.LIVE,
    ),
    Setting(
        "chdir",
        Folder(),
        os.curdir,
        _MECHANICS,
        "Change to this folder before the application is imported.",
        ("--chdir",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "pythonpath",
        Text(metavar="FOLDERS"),
        None,
        _MECHANICS,
        "Folders, with commas between them, to put before sys.path.",
        ("--pythonpath",),
    ),
    Setting(
        "raw_env",
        Assignments(),
        (),
        _MECHANICS,
        "Environment variables for the workers: NAME=VALUE. May be given several times.",
        ("-e", "--env"),
        repeatable=True,
    ),
    Setting(
        "user",
        UserId(),
        None,
        _MECHANICS,
        "The user, name or number, as whom the workers run.",
        ("-u", "--user"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "group",
        GroupId(),
        None,
        _MECHANICS,
        "The group, name or number, as which the workers run.",
        ("-g", "--group"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "initgroups",
        Switch(),
        False,
        _MECHANICS,
        "Give the workers all groups of their user as well.",
        ("--initgroups",),
        flag_sets=True,
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "umask",
        Mask(),
        0,
        _MECHANICS,
        "Mode bits that unix sockets are made without.",
        ("-m", "--umask"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "check_config",
        Switch(),
        False,
        _DEBUGGING,
        "Check the settings, import the application, and exit: 0 if all is well.",
        ("--check-config",),
        flag_sets=True,
    ),
    Setting(
        "print_config",
        Switch(),
        False,
        _DEBUGGING,
        "Print every setting with its value and where that came from, check as --check-config does, and exit.",
        ("--print-config",),
        flag_sets=True,
    ),
)
