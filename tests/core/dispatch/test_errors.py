"""Errors say what happened in one line, survive pickling and the wire, and can be caught by what they are."""

import pickle
from collections.abc import Iterator

import pytest

from unicorn_core.dispatch import errors
from unicorn_core.dispatch.errors import (
    LONGEST_TEXT,
    ActionNotFound,
    AppError,
    AppNotLoaded,
    DispatchError,
    DispatcherUnavailable,
    NotConfigured,
    NotSerializable,
    NoWorkers,
    PayloadTooLarge,
    ProtocolError,
    QueueFull,
    StashError,
    StashFull,
    StashKeyNotFound,
    StashTableNotFound,
    TaskFailed,
    TaskTimeout,
    WorkerCrashed,
    text_of,
)
from unicorn_core.dispatch.wire.serialization import Serializer

EXAMPLES: list[tuple[DispatchError, str]] = [
    (DispatchError("all is lost", worker=0), "all is lost (task worker 0)"),
    (DispatcherUnavailable(socket_path="/run/d.sock"), "the dispatcher cannot be reached (at /run/d.sock)"),
    (NotConfigured("nothing is set", app="m:A", action="run"), "m:A.run: nothing is set"),
    (QueueFull(depth=12, app="m:A", worker=3),
     "m:A: the queue is full: 12 requests wait (setting dispatch_queue_size) (task worker 3)"),
    (TaskTimeout(timeout=1.5, app="m:A", action="run"), "m:A.run: no answer in 1.5 s"),
    (TaskTimeout(), "no answer in time"),
    (WorkerCrashed("it was sent SIGKILL", "stack", app="m:A", worker=1), "m:A: it was sent SIGKILL (task worker 1)"),
    (AppError("it is broken"), "it is broken"),
    (TaskFailed("boom", "ValueError", "Traceback", app="m:A", action="run"), "m:A.run: ValueError: boom"),
    (TaskFailed("", "KeyError"), "KeyError"),
    (TaskFailed(), "the task failed"),
    (ActionNotFound(app="m:A", action="_x"), "m:A._x: the app has no such action"),
    (NoWorkers(app="m:A"), "m:A: the task that calls could only wait for its own worker"),
    (AppNotLoaded(app="m:B"), "m:B: no such app is loaded; is it in dispatch_apps?"),
    (ProtocolError("garbage"), "garbage"),
    (PayloadTooLarge(size=10, limit=5),
     "10 bytes are more than the allowed 5 (setting dispatch_max_payload)"),
    (NotSerializable("a socket cannot be sent", "argument 2", app="m:A", action="run"),
     "m:A.run: argument 2: a socket cannot be sent"),
    (StashError("it is broken"), "it is broken"),
    (StashTableNotFound(table="t"), "stash t: there is no such table"),
    (StashKeyNotFound(table="t", key="k"), "stash t: there is no key 'k'"),
    (StashFull("no room", "t", ("k", 1)), "stash t: no room"),
]  # fmt: skip


class Shy(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not me")


class Named(str):
    __slots__ = ()


class Subtle(Exception):
    def __str__(self) -> str:
        return Named("mine")


def test_the_text_of_any_exception_is_plain_and_bounded() -> None:
    assert text_of(ValueError("no")) == "no"
    assert text_of(Shy()) == "(its text cannot be had)"
    assert text_of(Subtle()) == "mine"
    assert type(text_of(Subtle())) is str
    text = text_of(ValueError("a" + "x" * 10_000_000 + "z"))
    assert len(text) < LONGEST_TEXT + 20
    assert (text[0], text[-1]) == ("a", "z")


def kinds() -> Iterator[type[DispatchError]]:
    return (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DispatchError))


def test_the_examples_show_every_error() -> None:
    assert {type(error) for error, _ in EXAMPLES} == set(kinds())


@pytest.mark.parametrize(("error", "text"), EXAMPLES)
def test_the_text_is_one_line(error: DispatchError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES])
def test_pickling_keeps_every_attribute(error: DispatchError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
    assert copy.args == error.args


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES])
def test_the_wire_keeps_every_attribute(error: DispatchError) -> None:
    message, *buffers = Serializer().pack(error.to_dict())
    copy = DispatchError.from_dict(Serializer().unpack(message, buffers))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


@pytest.mark.parametrize("kind", [*kinds()])
def test_each_can_be_made_from_a_message_alone(kind: type[DispatchError]) -> None:
    error = kind("it rains")
    assert error.message == "it rains"
    assert str(error).endswith("it rains")


def test_an_error_of_an_application_s_own_kind_arrives_as_a_dispatch_error() -> None:
    class OutOfPaper(DispatchError):
        pass

    copy = DispatchError.from_dict(OutOfPaper("no paper", app="m:A").to_dict())
    assert type(copy) is DispatchError
    assert str(copy) == "m:A: no paper"


def test_what_comes_over_the_wire_sets_nothing_but_the_facts_of_its_kind() -> None:
    details = {"app_path": "m:A", "depth": 3, "__class__": "x", "add_note": "x", "args": ("x",)}
    error = DispatchError.from_dict({"error_type": "NoWorkers", "message": "none", "details": details})
    assert vars(error) == {"message": "none", "app": "m:A", "action": None, "worker": None}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {},
        {"error_type": "NoWorkers"},
        {"error_type": 1, "message": "m", "details": {}},
        {"error_type": "NoWorkers", "message": None, "details": {}},
        {"error_type": "NoWorkers", "message": "m", "details": []},
    ],
)
def test_a_malformed_description_is_a_protocol_error(data: object) -> None:
    with pytest.raises(ProtocolError):
        DispatchError.from_dict(data)  # type: ignore[arg-type]


def test_facts_of_the_wrong_type_still_give_a_text() -> None:
    details = {"app_path": 1, "action": ["x"], "worker_id": "w", "remote_type": 5}
    error = DispatchError.from_dict({"error_type": "TaskFailed", "message": "m", "details": details})
    assert str(error) == "1.['x']: 5: m (task worker w)"


def test_the_families_are_those_that_existing_handlers_expect() -> None:
    assert issubclass(NotConfigured, DispatcherUnavailable)
    assert issubclass(AppNotLoaded, AppError)
    assert issubclass(AppNotLoaded, NoWorkers)
    assert issubclass(TaskFailed, AppError)
    assert issubclass(ActionNotFound, AppError)
    assert issubclass(PayloadTooLarge, ProtocolError)
    assert issubclass(NotSerializable, ProtocolError)


def test_names_that_applications_for_gunicorn_read() -> None:
    failed = TaskFailed("boom", "ValueError", "Traceback ...", app="m:A", action="run", worker=2)
    assert (failed.message, failed.app_path, failed.worker_id, failed.traceback) == ("boom", "m:A", 2, "Traceback ...")
    assert failed.details == {
        "app_path": "m:A",
        "action": "run",
        "worker_id": 2,
        "traceback": "Traceback ...",
        "remote_type": "ValueError",
    }
    assert TaskTimeout(timeout=3).details == {"timeout": 3}
    assert DispatcherUnavailable(socket_path="/s").details == {"socket_path": "/s"}
    assert StashKeyNotFound(table="t", key="k").table_name == "t"
