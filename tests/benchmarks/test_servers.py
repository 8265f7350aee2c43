"""The table of servers, the choice of rows, bin folders, and the command line."""

import sys
from pathlib import Path

import apps
import bench
import pytest
from harness import process
from harness.servers import (
    BENCHMARKS,
    Bin,
    Installed,
    NotInstalled,
    Spec,
    TableError,
    bins,
    read_table,
    select,
)
from harness.workloads import WORKLOADS

TABLE = {
    spec.name: spec
    for spec in (
        Spec("ours", "wsgi", "{bin}/ours {app} {port}", bin="unicorn"),
        Spec("peer", "asgi", "{python} -c 'run(\"{app}\", {port})'", packages=("no-such-peer",)),
        Spec("sketch", "wsgi", "sketch", named_only=True, skip=("pipeline",), max_workers=1),
    )
}


def test_the_table_of_the_project_can_be_read():
    table = read_table(BENCHMARKS / "servers.toml")
    for spec in table.values():
        assert spec.kind in ("wsgi", "asgi", "limit")
        assert {*spec.only, *spec.skip} <= {*WORKLOADS, "idle", "startup"}
        words = spec.argv(Bin("x", Path(sys.executable).parent), port=8000, workers=1, threads=4)
        assert any("8000" in word for word in words)
        assert not any("{" in word for word in words)


def test_all_rows_but_those_that_need_naming():
    assert [spec.name for spec in select(TABLE, [], ["wsgi", "asgi"])] == ["ours", "peer"]
    assert [spec.name for spec in select(TABLE, [], ["wsgi"])] == ["ours"]
    assert [spec.name for spec in select(TABLE, ["sketch", "ours"], [])] == ["sketch", "ours"]


def test_a_row_from_two_bin_folders():
    before, after = select(TABLE, ["ours@before", "ours@after"], [])
    assert (before.name, before.bin) == ("ours@before", "before")
    assert (after.name, after.bin) == ("ours@after", "after")
    assert before.cmd == after.cmd == TABLE["ours"].cmd


@pytest.mark.parametrize("names", [["nobody"], ["nobody@before"], ["ours", "ours"]])
def test_names_that_do_not_fit(names):
    with pytest.raises(TableError):
        select(TABLE, names, [])


def test_bin_folders(tmp_path):
    folders = bins([f"before={tmp_path}"], [TABLE["ours"]], ["peers", "unicorn"])
    assert folders["before"].folder == tmp_path
    assert folders["unicorn"].folder == folders["peers"].folder == Path(sys.executable).parent


@pytest.mark.parametrize("given", ["nothing", "=folder", "a=/no/such/folder"])
def test_bin_folders_that_do_not_fit(given):
    with pytest.raises(TableError, match="--bin"):
        bins([given], [], [])


def test_a_row_whose_bin_folder_was_not_given():
    with pytest.raises(TableError, match="ours@before needs --bin before=FOLDER"):
        bins([], select(TABLE, ["ours@before"], []), ["peers"])


def test_words_of_a_command(tmp_path):
    folder = tmp_path / "with a blank"
    words = TABLE["ours"].argv(Bin("unicorn", folder), port=8000, workers=1, threads=4)
    assert words == [f"{folder}/ours", "apps:wsgi", "8000"]


def test_the_application_of_a_framework_alone():
    words = TABLE["peer"].argv(Bin("peers", Path(sys.executable).parent), port=1, workers=1, threads=4, attribute="x")
    assert words[2] == 'run("apps:x", 1)'


def test_a_framework_is_imported_when_its_application_is_looked_up(monkeypatch):
    monkeypatch.setitem(apps.FRAMEWORKS, "rails", lambda: "the application")
    assert apps.rails == "the application"
    assert apps.framework("rails") == "the application"
    assert not hasattr(apps, "struts")


def test_modules_are_compiled_for_every_server(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("WEB_CONCURRENCY", "8")
    given = process.environment(tmp_path)
    assert given["PYTHONPYCACHEPREFIX"].startswith(str(tmp_path))
    assert not {"PYTHONDONTWRITEBYTECODE", "WEB_CONCURRENCY"} & given.keys()


def test_who_takes_part():
    sketch = TABLE["sketch"]
    assert sketch.can(WORKLOADS["hello"], 1)
    assert not sketch.can(WORKLOADS["hello"], 2)
    assert not sketch.can(WORKLOADS["pipeline"], 1)
    assert not sketch.can(WORKLOADS["websocket"], 1)


def test_what_is_missing_is_named():
    spec = TABLE["peer"]
    with pytest.raises(NotInstalled, match="'peers': no-such-peer, starlette"):
        spec.require({"python": "CPython 3.13"}, WORKLOADS["starlette"])
    spec.require({"no-such-peer": "1.0"}, WORKLOADS["hello"])
    program = Spec("limit", "limit", "x", programs={"no-such-program": "its-package"})
    with pytest.raises(NotInstalled, match="apt-get install its-package"):
        program.require({})


def test_versions_are_those_of_the_bin_folder(tmp_path):
    folders = {"peers": Bin("peers", Path(sys.executable).parent), "unicorn": Bin("unicorn", tmp_path)}
    peer = Spec("peer", "wsgi", "x", packages=("pytest", "no-such-peer"))
    ours = Spec("ours", "wsgi", "x", bin="unicorn", packages=("unicorn-cli",))
    installed = Installed(folders, [peer, ours], [])
    assert installed.versions["peers"]["pytest"] == pytest.__version__
    with pytest.raises(NotInstalled, match="no-such-peer"):
        installed.require(peer)
    with pytest.raises(NotInstalled, match="no python in the bin folder 'unicorn'"):
        installed.require(ours)


def test_arguments_from_a_file(tmp_path):
    file = tmp_path / "run.args"
    file.write_text("# what it is for\nload --rounds 5\n--bar 'hello: a >= 2 * b'\n")
    expanded = bench.expand([f"@{file}", "--rounds", "1"])
    assert expanded == ["load", "--rounds", "5", "--bar", "hello: a >= 2 * b", "--rounds", "1"]
    with pytest.raises(bench.Unusable, match=r"none\.args"):
        bench.expand([f"@{tmp_path}/none.args"])


@pytest.mark.parametrize("file", sorted((BENCHMARKS / "runs").glob("*.args")), ids=lambda file: file.stem)
def test_the_runs_of_the_project_fit_the_table(file):
    given = bench.parser().parse_args(bench.expand([f"@{file}"]))
    specs = select(read_table(given.table), given.servers, given.kind)
    works = bench.chosen_works(given.work, None)
    names = [spec.name for spec in specs]
    assert {name for listed in given.reference for name in listed} <= set(names)
    for text in given.bar:
        bar = bench.bars.parse(text)
        bar.check(names, [work.name for work in works])
        assert bar.least == (given.mode == "load")
