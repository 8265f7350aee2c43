"""The command line as a user meets it: settings from everywhere, clear errors, exit codes, and the logs."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core.settings.registry import Registry
from unicorn_core.testing.server import wait_until

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command to its end, in a folder that holds app.py."""
    (tmp_path / "app.py").write_text(HELLO)

    def call(*arguments: str, command: tuple[str, ...] = (sys.executable, "-m", "unicorn_cli"), **environment: str):
        names = ("UNICORN_", "GUNICORN_", "PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SENDFILE")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        return subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=variables | environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return call


@pytest.fixture
def setting(run: Run) -> Callable[..., tuple[str, str]]:
    """A setting's value and origin, as --print-config tells them."""

    def ask(name: str, *arguments: str, **environment: str) -> tuple[str, str]:
        result = run("--print-config", "app:app", *arguments, **environment)
        assert result.returncode == 0, result.stderr
        found = re.search(rf"^{name} += (.*)  # (.*)$", result.stdout, re.MULTILINE)
        assert found, result.stdout
        return found[1], found[2]

    return ask


def fails(result: subprocess.CompletedProcess[str], code: int) -> str:
    """The command ended with `code` and without a traceback; gives its last line."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


# Help and version


def test_version(run):
    result = run("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"unicorn \d+\.\d+\.\d+\S*\n", result.stdout)
    assert result.stderr == ""


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_grouped_and_has_every_flag(run, flag):
    result = run(flag)
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: unicorn [OPTIONS] APP\n")
    for setting in Registry.discover().settings.values():
        for name in setting.flags:
            assert re.search(rf"(^|\s){re.escape(name)}[,\s]", result.stdout), name
    sections = re.findall(r"^(\S[^\n:]*):$", result.stdout, re.MULTILINE)
    assert "Worker processes" in sections
    assert "Server socket" in sections
    assert len(sections) == len(set(sections)) > 5
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "\x1b" not in result.stdout


def test_the_installed_script_is_the_same_command(run):
    script = Path(sys.executable).with_name("unicorn")
    if not script.exists():
        pytest.skip("the command is not installed beside the interpreter")
    assert run("--help", command=(str(script),)).stdout == run("--help").stdout


def test_the_installed_script_serves(serve):
    script = Path(sys.executable).with_name("unicorn")
    if not script.exists():
        pytest.skip("the command is not installed beside the interpreter")
    server = serve(HELLO, command=(str(script),))
    assert server.get("/") == b"hello"


# Wrong use


@pytest.mark.parametrize("flags", [[], ["--check-config"], ["--print-config"]])
def test_no_application_is_wrong_use(run, flags):
    line = fails(run(*flags), 2)
    assert "application" in line.lower()
    assert "module:attribute" in line


@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["--no-such-flag=1"], ["-Z"]])
def test_an_unknown_flag_is_wrong_use(run, arguments):
    line = fails(run(*arguments, "app:app"), 2)
    assert arguments[0].partition("=")[0] in line


def test_a_misspelt_flag_gets_a_hint(run):
    assert "--workers" in fails(run("--worksers", "3", "app:app"), 2)


def test_a_second_application_is_wrong_use(run):
    assert "other:app" in fails(run("app:app", "other:app"), 2)


def test_a_flag_without_its_value_is_wrong_use(run):
    assert "--workers" in fails(run("app:app", "--workers"), 2)


# Short forms


def test_an_unambiguous_beginning_of_a_flag_is_enough(setting):
    assert setting("timeout", "--timeou", "5") == ("5", "command line --timeout")
    assert setting("timeout", "--timeou=6")[0] == "6"
    assert setting("backlog", "--backl", "7")[0] == "7"


def test_an_ambiguous_beginning_of_a_flag_names_the_candidates(run):
    line = fails(run("--worker", "2", "app:app"), 2)
    assert "ambiguous" in line
    for name in ("--workers", "--worker-class", "--worker-connections"):
        assert name in line


def test_short_flags(setting):
    for name, flag, value in (("workers", "-w", "3"), ("timeout", "-t", "7"), ("umask", "-m", "18")):
        assert setting(name, flag, value)[0] == value
        assert setting(name, flag + value)[0] == value
    assert setting("bind", "-b", ":1", "-b", "127.0.0.1:2,unix:/x")[0] == "[':1', '127.0.0.1:2', 'unix:/x']"
    assert setting("worker_class", "-k", "sync")[0] == "'sync'"


# Wrong values

WRONG = [
    ("workers", "many", "a whole number from 1 to 1024"),
    ("workers", "0", "a whole number from 1 to 1024"),
    ("timeout", "-1", "a whole number from 0 upwards"),
    ("timeout", "1.5", "a whole number from 0 upwards"),
    ("loglevel", "loud", "one of debug, info, warning, error, critical"),
    ("umask", "999", "file mode bits"),
    ("user", "no-such-user", "a user's name or number"),
    ("http_parser", "regex", "one of auto, "),
    ("chdir", "/no/such/folder", "an existing folder"),
]


def flag_of(name: str) -> str:
    return Registry.discover().settings[name].flags[-1]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_wrong_value_on_the_command_line_names_setting_value_allowed_and_origin(run, name, value, allowed):
    line = fails(run("app:app", f"{flag_of(name)}={value}"), 1)
    assert line.startswith(f"Error: setting {name} = {value!r} (command line {flag_of(name)}): must be ")
    assert allowed in line


def test_a_wrong_value_names_where_it_came_from(run, tmp_path):
    allowed = "must be a whole number from 1 to 1024, auto, or a range such as 2..8"
    line = fails(run("app:app", UNICORN_WORKERS="x"), 1)
    assert line == f"Error: setting workers = 'x' (environment UNICORN_WORKERS): {allowed}"
    line = fails(run("app:app", UNICORN_CMD_ARGS="--workers x"), 1)
    assert line == f"Error: setting workers = 'x' (environment UNICORN_CMD_ARGS --workers): {allowed}"
    line = fails(run("app:app", WEB_CONCURRENCY="x"), 1)
    assert line == f"Error: setting workers = 'x' (environment WEB_CONCURRENCY): {allowed}"
    (tmp_path / "unicorn.conf.py").write_text("workers = 2.5\n")
    line = fails(run("app:app"), 1)
    assert re.fullmatch(rf"Error: setting workers = 2\.5 \(file .*unicorn\.conf\.py\): {allowed}", line)


def test_a_wrong_value_that_a_later_source_replaces_does_no_harm(setting):
    assert setting("workers", "--workers", "2", WEB_CONCURRENCY="x", UNICORN_WORKERS="y")[0] == "2"


def test_an_unparsable_bind_is_a_wrong_value(run):
    assert "setting bind = ':99999' (command line --bind)" in fails(run("app:app", "--bind", ":99999"), 1)


def test_a_wrong_access_log_format_is_told_before_anything_starts(run):
    line = fails(run("app:app", "--access-logformat", "%(nonsense)s"), 1)
    assert "%(nonsense)s" in line


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gevent", "worker class 'gevent' is not installed: pip install 'unicorn-workers-gevent[gevent]'"),
        ("asgi", "worker class 'asgi' is not installed: pip install unicorn-asgi"),
        ("nonsense", "worker class 'nonsense' is not known; installed: "),
    ],
)
def test_a_worker_class_that_is_not_installed(run, name, told):
    from unicorn_core import plugins

    if name in plugins.find(plugins.WORKERS):
        pytest.skip(f"{name} is installed")
    assert told in fails(run("-k", name, "app:app"), 1)


def test_a_protocol_that_is_not_installed(run):
    from unicorn_core import plugins

    if "uwsgi" in plugins.find(plugins.PROTOCOLS):
        pytest.skip("uwsgi is installed")
    told = "protocol 'uwsgi' is not installed: pip install unicorn-uwsgi"
    assert told in fails(run("--protocol", "uwsgi", "app:app"), 1)


@pytest.mark.only_worker_class("sync", reason="a subclass of sync, which gives way to gthread")
def test_a_worker_class_from_the_user_s_own_module(serve, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from unicorn_http.workers.sync import SyncWorker\n\nclass Mine(SyncWorker):\n    pass\n"
    )
    server = serve(HELLO, "-k", "mine:Mine")
    server.wait_for("Using worker: mine:Mine")
    assert server.get("/") == b"hello"


# Configuration files


@pytest.mark.parametrize("name", ["unicorn.conf.py", "gunicorn.conf.py"])
def test_a_configuration_file_in_the_folder_is_read_and_named_in_the_log(serve, tmp_path, name):
    (tmp_path / name).write_text("workers = 2\n")
    server = serve(HELLO)
    server.wait_for(rf"\[INFO\] Configuration: \S*{re.escape(name)}\n")
    assert len(server.worker_pids()) == 2


def test_our_configuration_file_comes_before_gunicorn_s(setting, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("workers = 2\n")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 3\ntimeout = 99\n")
    value, origin = setting("workers")
    assert value == "2"
    assert origin.startswith("file ")
    assert origin.endswith("unicorn.conf.py")
    assert setting("timeout") == ("30", "default")


@pytest.mark.parametrize("form", ["{}", "file:{}"])
@pytest.mark.parametrize("flag", ["-c", "--config"])
def test_a_named_configuration_file_comes_instead(setting, tmp_path, form, flag):
    (tmp_path / "unicorn.conf.py").write_text("workers = 2\ntimeout = 99\n")
    (tmp_path / "mine.py").write_text("workers = 4\n")
    assert setting("workers", flag, form.format("mine.py"))[0] == "4"
    assert setting("timeout", flag, form.format(tmp_path / "mine.py"))[0] == "30"


def test_a_configuration_module(setting, tmp_path):
    package = tmp_path / "deploy"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "settings.py").write_text("import os\nworkers = 2 * 3\n")
    assert setting("workers", "-c", "python:deploy.settings") == ("6", "file python:deploy.settings")


def test_a_configuration_file_may_have_names_of_its_own(run, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text(
        "import multiprocessing as mp\nfrom os import path\nHERE = path.dirname(__file__)\nfactor = 2\n"
        "def count():\n    return factor\nworkers = count()\n"
    )
    result = run("--print-config", "app:app")
    assert result.returncode == 0
    assert re.search(r"^workers += 2 ", result.stdout, re.MULTILINE)
    assert "did you mean" not in result.stdout + result.stderr


def test_a_misspelt_name_in_a_configuration_file_gets_a_warning(serve, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("wokers = 3\nunrelated = 5\n")
    server = serve(HELLO)
    server.wait_for(r"\[WARNING\] file .*unicorn\.conf\.py: 'wokers' is not a setting and is ignored; did you mean")
    assert "'workers'?" in server.output
    assert "unrelated" not in server.output


def test_a_configuration_file_that_raises_shows_its_traceback(run, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("def broken():\n    return 1 / 0\n\nworkers = broken()\n")
    result = run("app:app")
    assert result.returncode == 1
    assert "in broken\n" in result.stderr
    assert "unicorn_core" not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert re.fullmatch(r"Error: configuration file '.*unicorn\.conf\.py' failed: ZeroDivisionError: .*", line)


def test_a_configuration_file_with_a_syntax_error(run, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("workers = = 2\n")
    result = run("app:app")
    assert result.returncode == 1
    assert "workers = = 2" in result.stderr
    assert "SyntaxError" in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("reference", ["missing.py", "file:missing.py"])
def test_a_configuration_file_that_is_missing(run, reference):
    line = fails(run("-c", reference, "app:app"), 1)
    assert "missing.py' does not exist" in line


def test_the_application_may_stand_in_the_configuration_file(serve, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("wsgi_app = 'app:app'\n")
    assert serve(HELLO, application="").get("/") == b"hello"


def test_the_application_on_the_command_line_comes_before_the_one_in_the_file(serve, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("wsgi_app = 'nowhere:app'\n")
    assert serve(HELLO).get("/") == b"hello"


# The order of the sources


def test_each_source_replaces_those_before_it(setting, tmp_path):
    given: dict[str, str] = {}
    arguments: list[str] = []
    assert setting("workers") == ("1", "default")
    given["WEB_CONCURRENCY"] = "2"
    assert setting("workers", **given) == ("2", "environment WEB_CONCURRENCY")
    (tmp_path / "unicorn.conf.py").write_text("workers = 3\n")
    value, origin = setting("workers", **given)
    assert value == "3"
    assert origin.startswith("file ")
    given["UNICORN_WORKERS"] = "4"
    assert setting("workers", **given) == ("4", "environment UNICORN_WORKERS")
    given["UNICORN_CMD_ARGS"] = "--workers 5"
    assert setting("workers", **given) == ("5", "environment UNICORN_CMD_ARGS --workers")
    arguments += ["--workers", "6"]
    assert setting("workers", *arguments, **given) == ("6", "command line --workers")


def test_gunicorn_s_variable_is_read_where_ours_is_missing(setting):
    assert setting("workers", GUNICORN_CMD_ARGS="-w 3") == ("3", "environment GUNICORN_CMD_ARGS --workers")
    both = {"GUNICORN_CMD_ARGS": "-w 3 --timeout 9", "UNICORN_CMD_ARGS": "-w 4"}
    assert setting("workers", **both)[0] == "4"
    assert setting("timeout", **both)[0] == "30"


def test_arguments_in_the_environment_are_split_like_a_shell_s(setting, tmp_path):
    (tmp_path / "mine.py").write_text("timeout = 8\n")
    given = {"UNICORN_CMD_ARGS": "-c mine.py --env 'A=b c' --access-logformat \"%(h)s %(s)s\""}
    assert setting("timeout", **given)[0] == "8"
    assert setting("raw_env", **given)[0] == "['A=b c']"
    assert setting("access_log_format", **given)[0] == "'%(h)s %(s)s'"


def test_a_mistake_in_the_arguments_of_the_environment_names_the_variable(run):
    assert "UNICORN_CMD_ARGS" in fails(run("app:app", UNICORN_CMD_ARGS="--no-such-flag"), 2)
    assert "UNICORN_CMD_ARGS" in fails(run("app:app", UNICORN_CMD_ARGS="'open"), 1)
    assert "GUNICORN_CMD_ARGS" in fails(run("app:app", GUNICORN_CMD_ARGS="--no-such-flag"), 2)


def test_port_changes_the_default_of_bind_alone(setting, tmp_path):
    assert setting("bind", PORT="9999") == ("['0.0.0.0:9999']", "environment PORT")
    assert setting("bind", "-b", ":1", PORT="9999")[0] == "[':1']"
    (tmp_path / "unicorn.conf.py").write_text("bind = ['127.0.0.1:1', 'unix:/s']\n")
    assert setting("bind", PORT="9999")[0] == "['127.0.0.1:1', 'unix:/s']"


def test_an_empty_variable_counts_as_absent(setting):
    assert setting("workers", WEB_CONCURRENCY="")[0] == "1"
    assert setting("bind", PORT="")[0] == "['127.0.0.1:8000']"


def test_forwarded_allow_ips_from_the_environment(setting):
    assert setting("forwarded_allow_ips", FORWARDED_ALLOW_IPS="10.0.0.0/8,*")[0] == "['10.0.0.0/8', '*']"


def test_every_setting_can_be_given_as_a_variable(setting):
    assert setting("keepalive", UNICORN_KEEPALIVE="9") == ("9", "environment UNICORN_KEEPALIVE")
    assert setting("sendfile", UNICORN_SENDFILE="no") == ("False", "environment UNICORN_SENDFILE")
    assert setting("bind", UNICORN_BIND=":1,:2")[0] == "[':1', ':2']"


# Checking


def test_print_config_shows_every_setting_with_its_origin(run):
    result = run("--print-config", "app:app", "--workers", "3")
    assert result.returncode == 0
    shown = re.findall(r"^(\w+) += .*  # \S.*$", result.stdout, re.MULTILINE)
    assert shown == sorted(Registry.discover().settings)


@pytest.mark.parametrize("flag", ["--check-config", "--print-config"])
@pytest.mark.parametrize(
    ("source", "application", "code"),
    [
        (HELLO, "app:app", 0),
        ("1 / 0\n", "app:app", 3),
        (HELLO, "app:missing", 4),
        ("app = 5\n", "app:app", 4),
        (HELLO, "missing:app", 3),
    ],
)
def test_checking_ends_with_the_code_that_serving_would(run, tmp_path, flag, source, application, code):
    (tmp_path / "app.py").write_text(source)
    result = run(flag, application)
    assert result.returncode == code, result.stderr
    if "1 / 0" in source:
        assert "ZeroDivisionError" in result.stderr
        assert "unicorn_core" not in result.stderr


def test_checking_finds_what_serving_would_find(run, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.py").write_text("import helper\n" + HELLO)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").touch()
    assert run("--check-config", "--chdir", "sub", "--pythonpath", str(tmp_path / "lib"), "inner:app").returncode == 0
    assert run("--check-config", "--chdir", "sub", "inner:app").returncode == 3
    needs = "import os\nassert os.environ['FLAVOUR'] == 'oat'\n" + HELLO
    (tmp_path / "app.py").write_text(needs)
    assert run("--check-config", "--env", "FLAVOUR=oat", "app:app").returncode == 0


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "caf\u00e9 \u2603", "a\x1b[31m"])
def test_checking_tells_a_server_field_that_cannot_be_sent(run, value):
    assert "setting server_header" in fails(run("--check-config", "--server-header", value, "app:app"), 1)


def test_checking_tells_a_bind_that_cannot_be_parsed(run):
    assert fails(run("--check-config", "--bind", ":99999", "app:app"), 1)


# What is served

ENVIRON = """
import os

def make(name, *, level=0, flags=()):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [repr((name, level, flags)).encode()]
    return app

class Site:
    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [os.environ.get("FLAVOUR", "-").encode()]

site = Site()
application = site
"""


@pytest.mark.parametrize(
    ("application", "body"),
    [
        ("app:make('prod')", b"('prod', 0, ())"),
        ("app:make('prod', level=-3, flags=['a', None])", b"('prod', -3, ['a', None])"),
        ("app:site", b"-"),
        ("app:Site()", b"-"),
        ("app:site.__call__", b"-"),
        ("app", b"-"),
    ],
)
def test_forms_of_the_application(serve, application, body):
    assert serve(ENVIRON, application=application).get("/") == body


def test_an_application_in_a_package(serve, tmp_path):
    (tmp_path / "shop" / "web").mkdir(parents=True)
    (tmp_path / "shop" / "web" / "wsgi.py").write_text(HELLO)
    assert serve("", application="shop.web.wsgi:app").get("/") == b"hello"


def test_env_sets_variables_of_the_workers(serve):
    server = serve(ENVIRON, "--env", "FLAVOUR=oat, or=milk", "-e", "OTHER=x", application="app")
    assert server.get("/") == b"oat, or=milk"


def test_chdir_and_pythonpath(serve, tmp_path):
    for folder in ("site", "lib", "more"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib" / "helper.py").write_text("NAME = b'helped by '\n")
    (tmp_path / "more" / "other.py").write_text("NAME = b'two'\n")
    (tmp_path / "site" / "inner.py").write_text(
        "import os, helper, other\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [helper.NAME + other.NAME + b' in ' + os.path.basename(os.getcwd()).encode()]\n"
    )
    path = f"{tmp_path / 'lib'},{tmp_path / 'more'}"
    server = serve("", "--chdir", "site", "--pythonpath", path, application="inner:app")
    assert server.get("/") == b"helped by two in site"


def test_a_relative_configuration_file_is_read_from_where_the_command_started(serve, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "inner.py").write_text(HELLO)
    (tmp_path / "mine.py").write_text("chdir = 'site'\nworkers = 1\n")
    server = serve("", "-c", "mine.py", application="inner:app")
    assert server.get("/") == b"hello"
    (tmp_path / "mine.py").write_text("chdir = 'site'\nworkers = 2\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2 serves with workers: 2", timeout=5)


def test_a_relative_chdir_holds_across_a_reload(serve, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "inner.py").write_text(HELLO)
    server = serve("", "--chdir", "site", application="inner:app")
    server.signal(signal.SIGHUP)
    server.wait_for("Handling signal: hup")
    server.wait_for("Reloaded: generation 2", timeout=5)
    assert server.get("/") == b"hello"


@pytest.mark.only_worker_class("sync", reason="the lines name it")
def test_a_process_manager_gets_the_lines_they_wait_for(serve):
    server = serve(HELLO)
    lines = [
        r"\[INFO\] Starting unicorn \d",
        r"\[INFO\] Listening at: http://127\.0\.0\.1:\d+ \(\d+\)",
        r"\[INFO\] Using worker: sync",
        r"\[INFO\] Booting worker with pid: \d+",
    ]
    server.wait_for(r"[\s\S]*".join(lines))
    assert server.stop() == 0
    server.wait_for(r"Handling signal: term[\s\S]*Worker exiting \(pid: \d+\)[\s\S]*Shutting down: Master")
    for line in server.output.splitlines():
        assert re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[[A-Z]+\] ", line), line


# Logs


def wait_for_text(path: Path, pattern: str) -> re.Match[str]:
    found: list[re.Match[str]] = []

    def look() -> bool:
        match = re.search(pattern, path.read_text() if path.exists() else "")
        if match:
            found.append(match)
        return bool(match)

    wait_until(look, what=f"{pattern!r} in {path.name}")
    return found[0]


def test_the_access_log_is_off_by_default(serve):
    server = serve(HELLO)
    server.get("/not-logged")
    server.stop()
    assert "not-logged" not in server.output


def test_the_access_log_on_standard_output(serve, tmp_path):
    """`-` is standard output for the access log, standard error for the error log."""
    shell = f'exec "$@" >{tmp_path}/out'
    server = serve(
        HELLO, "--access-logfile", "-", command=("sh", "-c", shell, "sh", sys.executable, "-m", "unicorn_cli")
    )
    server.exchange(
        b"GET /path?a=b HTTP/1.1\r\nHost: x\r\nUser-Agent: test/1\r\nReferer: http://r/\r\nConnection: close\r\n\r\n"
    )
    wait_for_text(
        tmp_path / "out",
        r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /path\?a=b HTTP/1\.1" 200 5 '
        r'"http://r/" "test/1"\n$',
    )
    assert "/path" not in server.output
    assert "Booting worker" in server.output
    assert "Booting worker" not in (tmp_path / "out").read_text()


def test_the_format_of_the_access_log(serve, tmp_path):
    layout = (
        "%(m)s %(U)s %(q)s %(H)s %(s)s %(st)s %(B)s %(b)s %({X-Thing}i)s %({content-type}o)s %({PATH_INFO}e)s 100%%"
    )
    server = serve(HELLO, "--access-logfile", "access.log", "--access-logformat", layout)
    server.exchange(b"HEAD /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Thing: thing\r\nConnection: close\r\n\r\n")
    match = wait_for_text(tmp_path / "access.log", r"(.*)\n")
    assert match[1] == "HEAD /a%20b c=d HTTP/1.1 200 200 OK 0 - thing text/plain /a b 100%"


def test_times_in_the_access_log(serve, tmp_path):
    layout = "%(T)s %(M)s %(D)s %(L)s %(p)s"
    server = serve(HELLO, "--access-logfile", "access.log", "--access-logformat", layout)
    server.get("/")
    wait_for_text(tmp_path / "access.log", rf"^0 \d+ \d+ 0\.\d{{6}} <{server.worker_pids()[0]}>\n$")


def test_every_answer_has_its_line_in_the_access_log(serve, wire, apps, tmp_path):
    log = tmp_path / "access.log"
    server = serve(
        "",
        "--access-logfile",
        str(log),
        "--access-logformat",
        "%(U)s %(s)s %(B)s",
        cwd=apps,
        application="wire_app:app",
    )
    connection = wire(server)
    paths = ["/hello", "/blocks", "/nothing", "/raises", "/declared?10", "/big-stream?131072", "/status?304"]
    for path in paths:
        connection.get(path)
    connection.get("/hello", method="HEAD")
    wait_until(lambda: len(log.read_text().splitlines()) == len(paths) + 1, what="all lines")
    assert log.read_text().splitlines() == [
        "/hello 200 5",
        "/blocks 200 13",
        "/nothing 200 0",
        "/raises 500 26",
        "/declared 200 10",
        "/big-stream 200 131072",
        "/status 304 0",
        "/hello 200 0",
    ]


def test_a_client_cannot_forge_lines_of_the_access_log(serve, tmp_path):
    server = serve(
        HELLO,
        *("--access-logfile", "access.log"),
        *("--access-logformat", '"%(U)s" "%({PATH_INFO}e)s" "%(a)s" "%({x-evil}i)s"'),
    )
    server.exchange(
        b"GET /a%0D%0Aforged%1B[2J HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b'User-Agent: a "quoted" \x9b agent\r\nX-Evil: tab\there\r\n\r\n'
    )
    text = wait_for_text(tmp_path / "access.log", r"[\s\S]*\n")[0]
    assert text.count("\n") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert r"\r\nforged\x1b[2J" in text
    assert r"a \"quoted\" \x9b agent" in text


def test_a_client_cannot_forge_lines_of_the_error_log(serve):
    server = serve("def app(environ, start_response):\n    1 / 0\n")
    server.exchange(b"GET /\x9bevil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nBad\x1b[2JName: x\r\n\r\n")
    server.get("/%0Aforged")
    server.wait_for("Error handling request GET /%0Aforged")
    assert not re.search(r"[\x1b\x7f\x9b]", server.output)


def test_the_user_of_basic_authentication_is_in_the_access_log(serve, tmp_path):
    """As with gunicorn: %(u)s is the user name of the Authorization field."""
    server = serve(HELLO, "--access-logfile", "access.log", "--access-logformat", "%(u)s")
    server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YnJpYW46bWFyeQ==\r\nConnection: close\r\n\r\n")
    wait_for_text(tmp_path / "access.log", r"^brian\n$")


def test_log_files_and_their_reopening_by_usr1(serve, tmp_path):
    error, access = tmp_path / "error.log", tmp_path / "access.log"
    server = serve(
        HELLO,
        *("--error-logfile", str(error), "--access-logfile", str(access), "--workers", "2"),
        ready=False,
    )
    wait_for_text(error, "Ready: generation 1")
    server.port = int(wait_for_text(error, r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
    server.get("/before")
    wait_for_text(access, "GET /before ")
    error.rename(tmp_path / "error.1")
    access.rename(tmp_path / "access.1")
    server.signal(signal.SIGUSR1)
    wait_until(lambda: error.exists() and access.exists(), what="new log files")

    def arrives() -> bool:
        server.get("/after")
        return access.read_text().count("GET /after ") > 4

    wait_until(arrives, what="lines in the new access log")
    assert server.stop() == 0
    assert "Shutting down: Master" in error.read_text()
    assert error.read_text().count("Worker exiting") == 2
    assert "Shutting down" not in (tmp_path / "error.1").read_text()
    assert server.output == ""


def test_wsgi_errors_follows_the_error_log(serve, tmp_path, apps):
    error = tmp_path / "error.log"
    server = serve("", "--log-file", str(error), cwd=apps, application="wire_app:app", ready=False)
    wait_for_text(error, "Ready: generation 1")
    server.port = int(wait_for_text(error, r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
    server.get("/complains?one")
    wait_for_text(error, "a complaint about one\n")
    error.rename(tmp_path / "error.1")
    server.signal(signal.SIGUSR1)
    wait_until(error.exists, what="a new log file")

    def arrives() -> bool:
        server.get("/complains?two")
        return "a complaint about two\n" in error.read_text()

    wait_until(arrives, what="the complaint in the new log")


@pytest.mark.parametrize("lenient", [False, True])
def test_logging_set_up_by_the_application_does_not_silence_the_server(serve, tmp_path, lenient):
    """logging.config disables existing loggers by default, and Django users often leave it at that."""
    source = f"""
import logging.config

logging.config.dictConfig({{"version": 1, "disable_existing_loggers": {not lenient}, "root": {{"level": "ERROR"}}}})


def app(environ, start_response):
    1 / 0
"""
    server = serve(source, "--access-logfile", "access.log", "--access-logformat", "%(U)s %(s)s")
    server.get("/broken")
    server.wait_for(r"\[ERROR\] Error handling request GET /broken\nTraceback[\s\S]*ZeroDivisionError", timeout=5)
    wait_for_text(tmp_path / "access.log", r"^/broken 500\n$")
    assert server.stop() == 0
    server.wait_for("Worker exiting", timeout=5)


def listens(path: Path) -> bool:
    """Somebody does at this unix socket: its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.mark.parametrize(
    ("level", "shown", "hidden"),
    [
        ("debug", "INFO", None),
        ("info", "INFO", "DEBUG"),
        ("warning", None, "INFO"),
        ("WARN", None, "INFO"),
        ("error", None, "WARNING"),
    ],
)
def test_loglevel(serve, tmp_path, wire, level, shown, hidden):
    (tmp_path / "unicorn.conf.py").write_text("wokers = 3\n")
    server = serve(HELLO, "--log-level", level, unix=tmp_path / "s", ready=False)
    wait_until(lambda: listens(tmp_path / "s"), what="the socket")
    assert wire(server).get("/").body == b"hello"
    assert server.stop() == 0
    assert shown is None or f"[{shown}]" in server.output
    assert hidden is None or f"[{hidden}]" not in server.output


def test_a_log_file_that_cannot_be_opened(run):
    line = fails(run("--log-file", "/no/such/folder/log", "app:app"), 1)
    assert "/no/such/folder/log" in line
    assert "errorlog" in line


def test_a_log_file_is_not_open_to_everybody(serve, tmp_path):
    serve(HELLO, "--access-logfile", "access.log")
    assert not stat.S_IMODE((tmp_path / "access.log").stat().st_mode) & stat.S_IWOTH


def test_json_lines_for_the_access_log(serve, tmp_path):
    """A format that is JSON stays JSON, whatever the client sends."""
    layout = '{"path": "%(U)s", "agent": "%(a)s", "status": %(s)s}'
    server = serve(HELLO, "--access-logfile", "access.log", "--access-logformat", layout)
    server.exchange(b'GET /p HTTP/1.1\r\nHost: x\r\nUser-Agent: "quoted"\r\nConnection: close\r\n\r\n')
    line = wait_for_text(tmp_path / "access.log", r".*\n")[0]
    assert json.loads(line) == {"path": "/p", "agent": '"quoted"', "status": 200}
