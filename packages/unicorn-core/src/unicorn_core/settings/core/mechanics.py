"""The processes: folder, environment, identity."""

import os

from unicorn_core.settings.declaration import Setting, TakesEffect
from unicorn_core.settings.kinds import Assignments, Folder, GroupId, Mask, Switch, Text, UserId

_SECTION = "Server mechanics"

SETTINGS = (
    Setting(
        "chdir",
        Folder(),
        os.curdir,
        _SECTION,
        "Change to this folder before the application is imported.",
        ("--chdir",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "pythonpath",
        Text(metavar="FOLDERS"),
        None,
        _SECTION,
        "Folders, with commas between them, to put before sys.path.",
        ("--pythonpath",),
    ),
    Setting(
        "raw_env",
        Assignments(),
        (),
        _SECTION,
        "Environment variables for the workers: NAME=VALUE. May be given several times.",
        ("-e", "--env"),
        repeatable=True,
    ),
    Setting(
        "user",
        UserId(),
        None,
        _SECTION,
        "The user, name or number, as whom the workers run.",
        ("-u", "--user"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "group",
        GroupId(),
        None,
        _SECTION,
        "The group, name or number, as which the workers run.",
        ("-g", "--group"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "initgroups",
        Switch(),
        False,
        _SECTION,
        "Give the workers all groups of their user as well.",
        ("--initgroups",),
        flag_sets=True,
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "umask",
        Mask(),
        0,
        _SECTION,
        "Mode bits that unix sockets are made without.",
        ("-m", "--umask"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "preload_app",
        Switch(),
        False,
        _SECTION,
        "Import the application once, in a process from which the workers are forked, so that they share memory and "
        "start quickly. A reload imports it anew.",
        ("--preload",),
        flag_sets=True,
    ),
    Setting(
        "daemon",
        Switch(),
        False,
        _SECTION,
        "Go into the background once the workers are ready.",
        ("-D", "--daemon"),
        flag_sets=True,
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "pidfile",
        Text(metavar="FILE"),
        None,
        _SECTION,
        "The file for the master's process id; removed at the end.",
        ("-p", "--pid"),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "proc_name",
        Text(metavar="NAME"),
        None,
        _SECTION,
        "The name in the processes' titles, with the package setproctitle installed; by default the application.",
        ("-n", "--name"),
    ),
    Setting(
        "default_proc_name",
        Text(optional=False),
        "unicorn",
        _SECTION,
        "The name in the processes' titles when there is neither proc_name nor an application.",
    ),
    Setting(
        "worker_tmp_dir",
        Text(metavar="FOLDER"),
        None,
        _SECTION,
        "The folder for the files in which a worker leaves its last stacks, on systems without memory files. No "
        "heartbeat depends on it.",
        ("--worker-tmp-dir",),
    ),
    Setting(
        "tmp_upload_dir",
        Text(metavar="FOLDER"),
        None,
        _SECTION,
        "The folder for temporary files of the workers, such as uploads: their TMPDIR.",
    ),
)
