"""A worker that hangs or crashes is replaced, and the log says where it stood, also in C code."""

import os
import re
import signal

import pytest

APP = """
import ctypes, os, sys, threading, time

def wait_for_nothing():
    threading.Event().wait()

def hang():
    time.sleep(60)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/python":
        hang()
    elif path == "/threads":
        threading.Thread(target=wait_for_nothing, daemon=True).start()
        hang()
    elif path == "/c":
        # Blocked in C with the lock of the interpreter held: no Python code can run in this process.
        while True:
            ctypes.PyDLL(None).sleep(60)
    elif path == "/crash":
        ctypes.string_at(0)
    elif path == "/abort":
        os.abort()
    start_response("200 OK", [])
    return [b"ok"]
"""
STUCK = """
import signal, threading

def app(environ, start_response):
    if environ["PATH_INFO"] == "/c":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
        threading.Lock().acquire() and threading.Event().wait()
    start_response("200 OK", [])
    return [b"ok"]
"""


one_thread = pytest.mark.only_worker_class("sync", reason="a request keeps its one thread from showing a sign of life")


@pytest.fixture
def hanging(serve, wire):
    def start(path: str, source: str = APP, *arguments: str):
        server = serve(source, "--timeout", "1", *arguments)
        connection = wire(server)
        connection.ask(path)
        assert connection.is_cut()
        server.wait_for("Ready: generation 1", count=2)
        assert wire(server).get("/").body == b"ok"
        return server

    return start


@one_thread
def test_a_hang_in_python_names_the_request_and_the_place(hanging):
    server = hanging("/python")
    server.wait_for(r"WORKER TIMEOUT \(pid:\d+\)")
    found = server.wait_for(r"was silent for [\d.]+ s; busy with: (\S+ \S+) HTTP/1.1 from 127.0.0.1, for ([\d.]+) s")
    assert found[1] == "GET /python"
    assert float(found[2]) >= 1
    server.wait_for(r"was aborted at:\n.*\n.*\n  File .*app.py\", line \d+, in hang\n    time.sleep\(60\)")
    assert "all threads" not in server.output, "there is one thread, and its stack has been shown"


@one_thread
def test_of_several_threads_all_stacks_are_shown(hanging):
    server = hanging("/threads")
    stacks = server.wait_for(r"Worker \(pid:\d+\), all threads:\n(?:.*\n)*?.*in wait_for_nothing")[0]
    assert "unicorn_" not in stacks


@one_thread
def test_a_worker_that_cannot_come_back_to_python_is_killed_and_its_stacks_are_shown(hanging):
    server = hanging("/c", STUCK)
    server.wait_for(
        r"did not come back to Python within a second after SIGABRT: it is stuck in C code, or in the kernel"
    )
    server.wait_for(r"all threads:\n(?:.*\n)*?  File .*app.py\", line 7 in app")


@pytest.mark.parametrize(
    ("path", "told"),
    [("/crash", r"was sent SIGSEGV! It crashed in C code\."), ("/abort", r"was sent SIGABRT! C code called abort\(\)")],
)
def test_a_crash_in_c_code_is_told_with_the_request_and_the_stacks(serve, wire, path, told):
    server = serve(APP)
    connection = wire(server)
    connection.ask(path)
    assert connection.is_cut()
    server.wait_for(told)
    server.wait_for(r"in app|line \d+, in app")
    server.wait_for("Ready: generation 1", count=2)


def test_abrt_to_a_worker_makes_it_tell_where_it_stands(serve, wire):
    server = serve(APP)
    (pid,) = server.worker_pids()
    connection = wire(server)
    connection.ask("/python")
    os.kill(pid, signal.SIGABRT)
    server.wait_for(rf"Worker \(pid:{pid}\) was aborted at:")


@one_thread
def test_control_characters_in_a_path_do_not_reach_the_log(serve, wire):
    server = serve(APP, "--timeout", "1")
    connection = wire(server)
    connection.ask("/python?%1b[31m" + "x" * 600)
    server.wait_for("WORKER TIMEOUT")
    server.wait_for(r"busy with: GET /python\?%1b\[31m")
    assert re.search(r"[\x00-\x09\x0b-\x1f]", server.output) is None
