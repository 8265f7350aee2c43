"""A pid file belongs to one running server: a living one is never displaced, a dead one never stands in the way."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unicorn_core.arbiter.pidfile import Pidfile
from unicorn_core.errors import UnicornError

OWNER = """
import os, sys
from unicorn_core.arbiter.pidfile import Pidfile
from unicorn_core.errors import UnicornError
pidfile = Pidfile(sys.argv[1])
try:
    pidfile.write(os.getpid())
except UnicornError as error:
    sys.exit(str(error))
print("written", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
pidfile.remove()
"""

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start Python with a script and arguments; it is killed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(script: str, *arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", script, *arguments]
            pipe = subprocess.PIPE
            process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server.pid"


def line(process: subprocess.Popen[str]) -> str:
    """The next line of its output; pytest's timeout bounds the wait."""
    assert process.stdout
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], statement: str) -> None:
    assert process.stdin
    process.stdin.write(statement + "\n")
    process.stdin.flush()
    assert line(process) == "done"


def owner(run: Run, path: Path) -> subprocess.Popen[str]:
    process = run(OWNER, str(path))
    assert line(process) == "written"
    return process


def take(path: Path) -> None:
    """Write and remove; the file was free or stale."""
    pidfile = Pidfile(str(path))
    pidfile.write(os.getpid())
    assert path.read_text() == f"{os.getpid()}\n"


def test_the_file_holds_the_pid_may_be_read_by_all_and_goes_away(path: Path) -> None:
    before = os.umask(0o077)
    try:
        pidfile = Pidfile(str(path))
        pidfile.write(4321)
    finally:
        os.umask(before)
    assert path.read_text() == "4321\n"
    assert path.stat().st_mode & 0o7777 == 0o644
    assert os.listdir(path.parent) == [path.name]
    pidfile.remove()
    assert not path.exists()


def test_the_descriptor_is_not_inherited_by_programs(path: Path) -> None:
    pidfile = Pidfile(str(path))
    pidfile.write(os.getpid())
    script = (
        "import os, sys\n"
        "for fd in range(256):\n"
        "    try: same = os.path.samestat(os.fstat(fd), os.stat(sys.argv[1]))\n"
        "    except OSError: continue\n"
        "    if same: sys.exit(f'descriptor {fd} was inherited')"
    )
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, close_fds=False, timeout=20, check=False).returncode == 0
    pidfile.remove()


def test_a_running_servers_file_is_refused(run: Run, path: Path) -> None:
    other = owner(run, path)
    with pytest.raises(UnicornError, match=f"belongs to the running process {other.pid}; .* --pid$"):
        Pidfile(str(path)).write(os.getpid())
    assert path.read_text() == f"{other.pid}\n"
    assert os.listdir(path.parent) == [path.name]


def test_a_killed_servers_file_is_taken_over_though_its_workers_live(run: Run, path: Path) -> None:
    other = owner(run, path)
    tell(other, "import time; pid = os.fork() or (os.closerange(0, 3), time.sleep(20), os._exit(0))")
    tell(other, f"open({str(path.parent / 'worker')!r}, 'w').write(str(pid))")
    other.kill()
    other.wait(10)
    worker_pid = int((path.parent / "worker").read_text())
    try:
        take(path)
    finally:
        os.kill(worker_pid, 9)


@pytest.mark.parametrize("content", ["", "\n", "nonsense\n", "-1\n", "0\n", "9" * 400, "1\n", "{own}\n"])
def test_a_leftover_is_replaced_whatever_it_says(path: Path, content: str) -> None:
    path.write_text(content.format(own=os.getpid()))
    take(path)


def test_another_programs_pid_makes_a_leftover_no_less_stale(run: Run, path: Path) -> None:
    program = run("input()")
    path.write_text(f"{program.pid}\n")
    take(path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_server_without_a_lock_is_known_by_its_command_line(run: Run, path: Path) -> None:
    gunicorn = run("print('up', flush=True); input()", "gunicorn", "app:app")
    assert line(gunicorn) == "up"
    path.write_text(f"{gunicorn.pid}\n")
    with pytest.raises(UnicornError, match=f"belongs to the running process {gunicorn.pid};"):
        Pidfile(str(path)).write(os.getpid())
    gunicorn.kill()
    gunicorn.wait(10)
    take(path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_server_that_is_younger_than_the_leftover_has_only_got_the_same_pid(run: Run, path: Path) -> None:
    gunicorn = run("print('up', flush=True); input()", "gunicorn", "app:app")
    assert line(gunicorn) == "up"
    path.write_text(f"{gunicorn.pid}\n")
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    take(path)


def test_a_locked_file_is_refused_whatever_it_says(run: Run, path: Path) -> None:
    other = owner(run, path)
    path.write_text("")
    with pytest.raises(UnicornError, match="belongs to a running process;"):
        Pidfile(str(path)).write(os.getpid())
    other.kill()


def test_of_many_that_start_at_once_one_gets_the_file(run: Run, path: Path) -> None:
    for leftover in (False, True):
        if leftover:
            path.write_text("1\n")
        started = [run(OWNER, str(path)) for _ in range(8)]
        winners = [process for process in started if line(process) == "written"]
        assert len(winners) == 1
        assert path.read_text() == f"{winners[0].pid}\n"
        winners[0].kill()
        winners[0].wait(10)
        path.unlink()


def test_a_reader_never_sees_half_a_file(run: Run, path: Path) -> None:
    reader = run(
        "import sys\n"
        "print('up', flush=True)\n"
        "seen = set()\n"
        "while 'end\\n' not in seen:\n"
        "    try: seen.add(open(sys.argv[1]).read())\n"
        "    except FileNotFoundError: pass\n"
        "print(sorted(seen))",
        str(path),
    )
    assert line(reader) == "up"
    for _ in range(300):
        pidfile = Pidfile(str(path))
        pidfile.write(123456)
        pidfile.write(654321)
        pidfile.remove()
    path.with_suffix(".end").write_text("end\n")
    path.with_suffix(".end").rename(path)
    assert set(eval(line(reader))) <= {"123456\n", "654321\n", "end\n"}


def test_an_upgraded_master_takes_over_the_name_once_the_old_one_is_gone(run: Run, path: Path) -> None:
    old = owner(run, path)
    second = path.with_name("server.pid.2")
    new = owner(run, second)
    assert old.stdin
    old.stdin.close()
    old.wait(10)
    tell(new, f"pidfile.rename({str(path)!r})")
    assert path.read_text() == f"{new.pid}\n"
    assert os.listdir(path.parent) == [path.name]
    with pytest.raises(UnicornError, match=f"{new.pid}"):
        Pidfile(str(path)).write(os.getpid())
    assert new.stdin
    new.stdin.close()
    new.wait(10)
    assert not path.exists()


def test_a_refused_renaming_changes_nothing(run: Run, path: Path) -> None:
    owner(run, path)
    pidfile = Pidfile(f"{path}.2")
    pidfile.write(os.getpid())
    with pytest.raises(UnicornError, match="belongs to the running process"):
        pidfile.rename(str(path))
    assert pidfile.path == f"{path}.2"
    assert sorted(os.listdir(path.parent)) == ["server.pid", "server.pid.2"]
    pidfile.remove()
    assert os.listdir(path.parent) == ["server.pid"]


def test_only_the_own_file_is_removed(path: Path) -> None:
    pidfile = Pidfile(str(path))
    pidfile.write(os.getpid())
    path.unlink()
    path.write_text(f"{os.getpid()}\n")
    pidfile.remove()
    assert path.exists()

    pidfile.write(os.getpid())
    path.write_text("1\n")
    pidfile.remove()
    assert path.read_text() == "1\n"


def test_removal_never_raises(path: Path) -> None:
    pidfile = Pidfile(str(path))
    pidfile.remove()
    pidfile.write(os.getpid())
    path.unlink()
    pidfile.remove()
    pidfile.remove()


def test_a_relative_path_stays_where_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    pidfile = Pidfile("server.pid")
    monkeypatch.chdir(tmp_path / "elsewhere")
    pidfile.write(os.getpid())
    assert (tmp_path / "server.pid").exists()
    pidfile.remove()
    assert not (tmp_path / "server.pid").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "server.pid"
    with pytest.raises(UnicornError, match=f"cannot write the pid file {path}: its folder does not exist"):
        Pidfile(str(path)).write(os.getpid())


def test_a_folder_that_may_not_be_written_is_told_with_the_user(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "server.pid"
    path.parent.mkdir(mode=0o555)
    drop = "if not os.geteuid(): os.setuid(65534)\n"
    process = run(OWNER.replace("try:", drop + "try:"), str(path))
    _, error = process.communicate(timeout=10)
    user = os.geteuid() or 65534
    assert error.startswith(f"cannot write the pid file {path}: user id {user} may not write there; ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnicornError, match="Is a directory; choose another with --pid"):
        Pidfile(str(tmp_path / "folder")).write(os.getpid())
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(UnicornError, match="symbolic link"):
        Pidfile(str(tmp_path / "link")).write(os.getpid())
    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]
