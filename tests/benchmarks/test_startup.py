"""The mode `startup`: its rounds, tables and bars."""

import math
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bench
import pytest
from harness import bars, startup
from harness.output import Output
from harness.process import ServerFailed
from harness.servers import Spec
from harness.startup import Start, Starts
from harness.wire import WrongAnswer
from harness.workloads import WORKLOADS

HELLO = WORKLOADS["hello"]


def starts(*first_ms, pss=10.0, failed=""):
    return Starts([Start(each, 20.0, pss, 30.0, pss + 1) for each in first_ms], failed)


def test_the_median_of_the_starts():
    assert starts(90, 80, 500).median("first_ms") == 90
    assert math.isnan(starts().median("first_ms"))
    assert math.isnan(starts(90, failed="did not start").median("first_ms"))


def test_the_table_of_a_startup(options):
    found = {"slow": starts(100, 130), "gone": starts(5, failed="did not start: why"), "fast": starts(70, 80, 90)}
    lines = startup.report(HELLO, 4, found, options).splitlines()
    assert lines[0].startswith("### startup, hello: 4 worker(s), 3 rounds")
    assert lines[4] == "| fast | 80 | 70..90 | 20.0 | 10.0 | 30.0 | 11.0 |  |"
    assert lines[5].startswith("| slow | 115 | 100..130 |")
    assert lines[6] == "| gone | - | 5..5 | - | - | - | - | did not start: why |"


def test_a_bar_holds_for_every_figure():
    found = {"a": starts(80, pss=11.0), "b": starts(100)}
    verdicts = list(startup.judge(bars.parse("a<=b"), HELLO, 4, found))
    assert [verdict.met for verdict in verdicts] == [True, True, False, True, False]
    assert str(verdicts[0]) == "hello, 4 worker(s), first answer ms: a <= 1 x b: met, measured 0.800"
    assert "idle PSS MiB: a <= 1 x b: **not met**, measured 1.100" in str(verdicts[2])


def test_a_bar_is_not_met_by_a_server_that_failed():
    found = {"a": starts(80, failed="why"), "b": starts(100)}
    assert not any(verdict.met for verdict in startup.judge(bars.parse("a<=b"), HELLO, 1, found))


def test_a_bar_holds_where_both_take_part_or_where_it_says():
    found = {"a": starts(80)}
    assert not list(startup.judge(bars.parse("a<=b"), HELLO, 1, found))
    assert not list(startup.judge(bars.parse("flask: a<=b"), HELLO, 1, found))
    assert not any(verdict.met for verdict in startup.judge(bars.parse("hello: a<=b"), HELLO, 1, found))


def test_the_start_before_the_first_round_does_not_count(monkeypatch, options):
    """Servers start in turn; one that fails is not started again."""
    order = []

    def start_once(spec, *_):
        order.append(spec.name)
        if order.count("b") == 2 and spec.name == "b":
            raise ServerFailed("why")
        return Start(float(len(order)), 1.0, 1.0, 1.0, 1.0)

    monkeypatch.setattr(startup, "start_once", start_once)
    specs = [Spec("a", "wsgi", "a"), Spec("b", "wsgi", "b"), Spec("single", "wsgi", "single", max_workers=1)]
    found = startup.measure(HELLO, 4, specs, None, replace(options, rounds=2), Output(None, None))
    assert order == ["a", "b", "a", "b", "a"]
    assert found["a"].all("first_ms") == [3.0, 5.0]
    assert found["b"].failed == "why"
    assert "single" not in found


@pytest.fixture
def server():
    """Answers every request with the body `server.body`, and counts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with lock:
                running.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(running.body)))
            self.end_headers()
            self.wfile.write(running.body)

        def log_message(self, *_):
            pass

    lock = threading.Lock()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.asked, running.body = 0, b"Hello, world!"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_so_many_requests_are_sent(server, monkeypatch):
    monkeypatch.setattr(startup, "REQUESTS", 20)
    startup.ask(HELLO, server.server_port)
    assert server.asked == 20


def test_a_wrong_answer_is_noticed(server, monkeypatch):
    monkeypatch.setattr(startup, "REQUESTS", 20)
    server.body = b"Goodbye"
    with pytest.raises(WrongAnswer):
        startup.ask(HELLO, server.server_port)


@pytest.mark.parametrize(("mode", "bar"), [("startup", "a>=b"), ("load", "a<=b")])
def test_a_bar_that_asks_for_what_is_worse_is_refused(mode, bar, options):
    specs = [Spec("a", "wsgi", "a"), Spec("b", "wsgi", "b")]
    with pytest.raises(bench.Unusable, match="wrong sign"):
        bench.check_names(mode, specs, replace(options, references=(), bars=(bars.parse(bar),)))
