"""In a reload with a canary nothing follows a first worker that does not answer well."""

import signal

import pytest

APP = """
import os

def app(environ, start_response):
    with open("asked", "a") as file:
        file.write(f"{environ['PATH_INFO']} {environ['REMOTE_ADDR']} {os.getpid()}\\n")
    if environ["PATH_INFO"] == "/health":
        answer = HEALTH
        if answer is None:
            raise RuntimeError("the database is not there")
        start_response(answer, [])
        return [b"healthy"]
    start_response("200 OK", [])
    return [b"NAME"]
"""


def code(name: str, health: str | None = "200 OK") -> str:
    return APP.replace("HEALTH", repr(health)).replace("NAME", name)


@pytest.mark.parametrize("strategy", ["all", "rolling"])
def test_a_canary_that_answers_well_lets_the_others_follow(serve, wire, tmp_path, strategy):
    options = ("--workers", "3", "--reload-canary", "/health", "--reload-strategy", strategy)
    server = serve(code("one"), *options)
    (tmp_path / "app.py").write_text(code("another"))
    server.signal(signal.SIGHUP)
    pid = server.wait_for(r"Canary \(pid:(\d+)\) answered /health with 200")[1]
    server.wait_for("Reloaded: generation 2")
    server.wait_for("Worker exiting", count=3)
    assert wire(server).get("/").body == b"another"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line for line in asked if "/health" in line] == [f"/health 127.0.0.1 {pid}"], "asked once, by nobody else"


@pytest.mark.parametrize("strategy", ["all", "rolling"])
@pytest.mark.parametrize(
    ("health", "status"), [("503 Service Unavailable", "503"), ("404 Not Found", "404"), (None, "500")]
)
def test_a_canary_that_answers_badly_withdraws_the_reload(serve, wire, tmp_path, strategy, health, status):
    options = ("--workers", "3", "--reload-canary", "/health", "--reload-strategy", strategy)
    server = serve(code("one"), *options)
    (tmp_path / "app.py").write_text(code("another", health))
    server.signal(signal.SIGHUP)
    server.wait_for(rf"the canary answered /health with {status} \(setting reload_canary\)")
    server.wait_for("Reload failed: generation 2 is withdrawn, the old one keeps serving")
    assert {wire(server).get("/").body for _ in range(10)} == {b"one"}
    assert server.output.count("Booting worker") == 4, "three at first, and the canary"
    if health is None:
        assert "the database is not there" in server.output


def test_a_redirect_is_a_good_answer(serve, tmp_path):
    server = serve(code("one"), "--reload-canary", "/health")
    (tmp_path / "app.py").write_text(code("another", "302 Found"))
    server.signal(signal.SIGHUP)
    server.wait_for(r"answered /health with 302")
    server.wait_for("Reloaded: generation 2")


def test_the_first_start_asks_for_nothing(serve, tmp_path):
    server = serve(code("one", "503 Service Unavailable"), "--reload-canary", "/health")
    assert not (tmp_path / "asked").exists()
    assert "Canary" not in server.output


def test_a_canary_that_never_answers_withdraws_the_reload_in_time(serve, wire, tmp_path):
    options = ("--reload-canary", "/health", "--worker-boot-timeout", "1")
    server = serve(code("one"), *options)
    (tmp_path / "app.py").write_text(
        "import time\n" + code("another").replace("answer =", "answer = time.sleep(60) or")
    )
    server.signal(signal.SIGHUP)
    server.wait_for("worker_boot_timeout")
    server.wait_for("Reload failed: generation 2 is withdrawn")
    assert wire(server).get("/").body == b"one"


def test_a_canary_works_with_preloading(serve, wire, tmp_path):
    server = serve(code("one"), "--workers", "2", "--preload", "--reload-canary", "/health")
    (tmp_path / "app.py").write_text(code("another", "503 Service Unavailable"))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed: generation 2 is withdrawn")
    assert wire(server).get("/").body == b"one"
