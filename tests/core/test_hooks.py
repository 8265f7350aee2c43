"""Hooks: what a configuration may name, that no hook harms who calls it, and what hooks see."""

import functools
import os
import re
import sys
from types import SimpleNamespace

import pytest

from unicorn_core.errors import SettingError
from unicorn_core.hooks import Hooks, ServerView, WorkerHooks, WorkerView
from unicorn_core.settings.kinds import Hook
from unicorn_core.settings.registry import Registry, Source

HOOKS = {
    "on_starting": "server",
    "on_reload": "server",
    "when_ready": "server",
    "pre_fork": "server, worker",
    "post_fork": "server, worker",
    "post_worker_init": "worker",
    "worker_int": "worker",
    "worker_abort": "worker",
    "pre_exec": "server",
    "pre_request": "worker, req",
    "post_request": "worker, req, environ, resp",
    "child_exit": "server, worker",
    "worker_exit": "server, worker",
    "nworkers_changed": "server, new_value, old_value",
    "on_exit": "server",
    "ssl_context": "config, default_ssl_context_factory",
}


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture
def configured(registry):
    """Settings as a configuration file with these values gives them."""
    return lambda **values: registry.resolve([*registry.default_source({}), Source("file x", values)])


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """Write modules into a working folder that is not on sys.path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = set(sys.modules)
    yield lambda **sources: [(tmp_path / f"{name}.py").write_text(source) for name, source in sources.items()]
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


class Log:
    """Keeps what was logged as an error."""

    def __init__(self):
        self.errors = []

    def error(self, text, *values):
        self.errors.append(text % values)


# What may be configured


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_a_setting_that_a_file_can_hold(registry, configured, name):
    setting = registry.settings[name]
    assert setting.section == "Server hooks"
    assert setting.flags == ()
    assert f"{name}({HOOKS[name]})" in setting.help
    assert ("arbiter" in setting.help) != ("In the worker" in setting.help)
    assert getattr(configured(), name) is None
    assert getattr(configured(**{name: None}), name) is None


@pytest.mark.parametrize("name", HOOKS)
def test_a_function_with_the_hooks_arguments_is_taken_as_it_is(configured, name):
    function = eval(f"lambda {HOOKS[name]}: None")
    assert getattr(configured(**{name: function}), name) is function


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("function", [lambda: None, lambda a, b, c, d, e: None], ids=["none", "five"])
def test_a_wrong_number_of_arguments_is_refused_with_hook_and_signature(configured, name, function):
    with pytest.raises(SettingError) as caught:
        configured(**{name: function})
    message = str(caught.value)
    assert message.startswith(f"setting {name} = <function ")
    assert f"({HOOKS[name]})" in message
    assert "(file x): must be a function that takes (" in message
    assert message.endswith(("this one takes ()", "this one takes (a, b, c, d, e)"))
    assert "\n" not in message


def nothing(*arguments):
    pass


class Bound:
    def two(self, server, worker):
        pass

    @classmethod
    def of_class(cls, server, worker):
        pass

    def __call__(self, server, worker):
        pass


class Unsigned:
    """What cannot be asked for its signature."""

    __signature__ = "none"

    def __call__(self, *arguments):
        pass


@pytest.mark.parametrize(
    "function",
    [
        lambda server, worker: None,
        lambda server, worker, third=None: None,
        lambda server, *rest: None,
        nothing,
        Bound().two,
        Bound.of_class,
        Bound(),
        functools.partial(lambda extra, server, worker: None, "extra"),
        functools.partial(lambda server, worker, *, option: None, option=1),
        functools.wraps(lambda server, worker: None)(lambda *arguments: None),
        print,
        max,
        Unsigned(),
    ],
)
def test_whatever_can_be_called_with_them_is_taken(function):
    assert Hook(("server", "worker")).parse(function) is function


@pytest.mark.parametrize(
    "function",
    [
        lambda server: None,
        lambda server, worker, third: None,
        lambda server, *, worker: None,
        lambda server, worker, *, option: None,
        lambda **everything: None,
        Bound.two,
        functools.partial(lambda server, worker: None, "bound"),
        functools.wraps(lambda server: None)(lambda *arguments: None),
        len,
    ],
)
def test_whatever_cannot_is_refused(function):
    with pytest.raises(ValueError, match=r"a function that takes \(server, worker\); this one takes \("):
        Hook(("server", "worker")).parse(function)


@pytest.mark.parametrize("value", [1, [], {}, True, b"module:function", object()])
def test_what_is_no_function_is_refused(value):
    with pytest.raises(ValueError, match=r"a function\(server\), or module:function"):
        Hook(("server",)).parse(value)


def test_an_async_function_is_refused():
    async def on_exit(server):
        pass

    with pytest.raises(ValueError, match="nothing awaits"):
        Hook(("server",)).parse(on_exit)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda worker, req: [worker, req], 2),
        (lambda worker, req, environ: [worker, req, environ], 3),
        (lambda worker, req, environ=None: [worker, req, environ], 3),
        (lambda worker, req, environ, resp: [worker, req, environ, resp], 4),
        (lambda *arguments: list(arguments), 4),
    ],
)
def test_post_request_takes_two_to_four_arguments(configured, function, count):
    assert configured(post_request=function).post_request(1, 2, 3, 4) == [1, 2, 3, 4][:count]


@pytest.mark.parametrize("function", [lambda worker: None, lambda worker, req, environ, resp, more: None])
def test_post_request_with_one_or_five_arguments_names_what_it_may_take(configured, function):
    expected = "(worker, req) or (worker, req, environ) or (worker, req, environ, resp)"
    with pytest.raises(SettingError, match=re.escape(expected)):
        configured(post_request=function)


def test_a_shortened_hook_shows_the_users_function(configured):
    def mine(worker, req):
        pass

    assert repr(configured(post_request=mine).post_request) == repr(mine)


# Import strings


@pytest.mark.parametrize("reference", ["myhooks:fork", "myhooks.fork", " myhooks:fork ", "myhooks:inner.fork"])
def test_an_import_string_is_resolved_in_the_working_folder(importable, reference):
    importable(myhooks="class inner:\n    def fork(server, worker): return server\nfork = inner.fork\n")
    assert Hook(("server", "worker")).parse(reference)(1, 2) == 1


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nosuch:fork", "No module named 'nosuch'"),
        ("nosuch.fork", "No module named 'nosuch'"),
        ("myhooks:nosuch", "has no attribute 'nosuch'"),
        ("myhooks.nosuch", "has no attribute 'nosuch'"),
        ("broken:fork", r"RuntimeError: not today \(.*broken\.py, line 2\)"),
        ("exits:fork", r"SystemExit: 3 \(.*exits\.py, line 1\)"),
        ("needs:fork", r"No module named 'nosuch' \(.*needs\.py, line 1\)"),
        ("fork", "imported as module:function"),
        ("", "imported as module:function"),
        ("my hooks:fork", "my hooks"),
        ("myhooks:", "a function"),
        (":fork", "a function"),
        ("myhooks:number", r"a function\(server, worker\)"),
        ("myhooks:short", r"this one takes \(server\)"),
    ],
)
def test_an_import_string_that_leads_nowhere_says_why(importable, configured, reference, expected):
    importable(
        myhooks="number = 1\ndef short(server): pass\n",
        broken="\nraise RuntimeError('not today')\n",
        exits="raise SystemExit(3)\n",
        needs="import nosuch\n",
    )
    with pytest.raises(SettingError, match=expected) as caught:
        configured(pre_fork=reference)
    assert str(caught.value).startswith(f"setting pre_fork = {reference!r} (file x): must be a function")
    assert "\n" not in str(caught.value)


# Calling them


class NotAnException(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), NotAnException("x")])
def test_whatever_a_hook_raises_is_logged_with_its_name_and_stays_there(configured, error):
    def on_exit(server):
        raise error

    log = Log()
    assert Hooks(configured(on_exit=on_exit), log).call("on_exit", "server") is False
    (line,) = log.errors
    assert line.startswith("Hook on_exit raised:\nTraceback (most recent call last):\n")
    assert type(error).__name__ in line
    assert "raise error" in line
    assert "unicorn_core" not in line


def test_the_traceback_shows_the_hook_also_when_the_error_comes_from_the_server(configured):
    def post_request(worker, req):
        return worker.nosuch

    log = Log()
    settings = configured(post_request=post_request)
    Hooks(settings, log).call("post_request", settings, "req", "environ", "resp")
    assert "return worker.nosuch" in log.errors[0]
    assert "no setting is named 'nosuch'" in log.errors[0]


def test_a_hook_that_cannot_be_called_after_all_is_logged(configured):
    log = Log()
    assert Hooks(configured(on_exit=max), log).call("on_exit", 1) is False
    assert "Hook on_exit raised" in log.errors[0]


def test_a_hook_gets_its_arguments(configured):
    seen = []
    hooks = Hooks(configured(nworkers_changed=lambda *arguments: seen.append(arguments)), Log())
    assert hooks.call("nworkers_changed", "server", 2, None) is True
    assert seen == [("server", 2, None)]


def test_a_hook_that_is_not_set_is_nothing(configured):
    hooks = Hooks(configured(on_exit=lambda server: None), Log())
    assert hooks.call("pre_fork", "server", "worker") is True
    assert hooks.has("pre_fork", "on_exit")
    assert not hooks.has("pre_fork", "post_fork")


# In a worker's process


@pytest.fixture
def life(configured):
    """The hooks of a worker that write down that they were called."""
    calls = []

    def note(name):
        return lambda *arguments: calls.append((name, *arguments))

    names = ("post_fork", "post_worker_init", "worker_int", "worker_abort", "worker_exit")
    hooks = Hooks(configured(**{name: note(name) for name in names}), Log())
    return SimpleNamespace(calls=calls, hooks=WorkerHooks(hooks, "server"), note=note)


def test_the_hooks_of_a_workers_life(life):
    life.hooks.made("worker")
    life.hooks.booted()
    life.hooks.interrupted()
    life.hooks.aborted()
    life.hooks.leaving()
    assert life.calls == [
        ("post_fork", "server", "worker"),
        ("post_worker_init", "worker"),
        ("worker_int", "worker"),
        ("worker_abort", "worker"),
        ("worker_exit", "server", "worker"),
    ]


def test_before_there_is_a_worker_nothing_is_called(life):
    life.hooks.interrupted()
    life.hooks.aborted()
    life.hooks.leaving()
    assert life.calls == []


def test_worker_exit_is_called_once_even_if_a_signal_comes_in_meanwhile(configured):
    calls = []

    def worker_exit(server, worker):
        calls.append("exit")
        hooks.interrupted()
        hooks.leaving()

    settings = configured(worker_exit=worker_exit, worker_int=lambda worker: calls.append("int"))
    hooks = WorkerHooks(Hooks(settings, Log()), "server")
    hooks.made("worker")
    hooks.leaving()
    hooks.leaving()
    assert calls == ["exit"]


# What they see


@pytest.fixture
def server(configured):
    settings = configured(bind=["127.0.0.1:0", "unix:/tmp/x.sock", "fd://3"], wsgi_app="a:b")
    return ServerView(Log(), lambda: settings, lambda: 4)


def test_the_server(server):
    assert server.pid == os.getpid()
    assert server.num_workers == 4
    assert server.cfg is server.settings
    assert server.cfg.wsgi_app == "a:b"
    assert server.proc_name == "a:b"
    assert server.WORKERS == {}
    assert isinstance(server.log, Log)


def test_its_addresses_are_those_wanted_and_then_those_bound(server):
    assert server.address == [("127.0.0.1", 0), "/tmp/x.sock", "fd://3"]
    server.listening([SimpleNamespace(socket=SimpleNamespace(getsockname=lambda: ("127.0.0.1", 4711)))])
    assert server.address == [("127.0.0.1", 4711)]


def test_its_settings_are_those_in_force(configured):
    current = [configured(workers=1)]
    server = ServerView(Log(), lambda: current[-1], lambda: int(current[-1].workers))
    current.append(configured(workers=3, proc_name="mine"))
    assert (server.num_workers, server.proc_name) == (3, "mine")


def test_a_worker_in_the_arbiter(configured):
    served = [0]
    settings = configured()
    worker = WorkerView(age=7, ppid=os.getpid(), cfg=settings, log=Log(), served=lambda: served[0])
    assert (worker.pid, worker.age, worker.nr) == (None, 7, 0)
    assert (worker.alive, worker.booted, worker.aborted) == (True, False, False)
    assert worker.settings is worker.cfg is settings
    served[0] = 5
    assert worker.nr == 5


def test_hooks_may_keep_something_on_what_they_are_given(server, configured):
    worker = WorkerView(age=1, ppid=1, cfg=configured(), log=Log(), served=int)
    worker.mine = server.mine = 1
    assert worker.mine == server.mine
