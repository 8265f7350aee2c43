"""The table of servers: its rows, the bin folders they run from, and which rows a run has."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from .workloads import Workload

BENCHMARKS = Path(__file__).resolve().parent.parent
VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class TableError(Exception):
    """The table or a name given on the command line does not fit."""


class NotInstalled(Exception):
    """A row needs what its bin folder, or the machine, does not have."""


@dataclass(frozen=True)
class Bin:
    """A folder of programs, mostly a virtual environment's, under the name that --bin gave it."""

    name: str
    folder: Path

    @cached_property
    def python(self) -> Path:
        for program in ("python", "python3"):
            if (self.folder / program).exists():
                return self.folder / program
        raise NotInstalled(f"no python in the bin folder {self.name!r}")

    def versions(self, packages: Iterable[str]) -> dict[str, str]:
        """Versions of Python and of those of the packages that are installed there."""
        command = [str(self.python), "-c", VERSIONS, *packages]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise NotInstalled(f"the python of the bin folder {self.name!r} does not run")
        found: dict[str, str] = json.loads(done.stdout)
        return found


@dataclass(frozen=True)
class Spec:
    """One row of the table, with the bin folder that this run takes for it."""

    name: str
    kind: str  # wsgi, asgi, limit
    cmd: str
    bin: str = "peers"
    packages: tuple[str, ...] = ()  # distributions that it needs, the server first
    programs: Mapping[str, str] = field(default_factory=dict)  # further programs: name -> Debian package
    max_workers: int = 64
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    named_only: bool = False  # runs only when --servers names it

    def can(self, work: Workload, workers: int) -> bool:
        return self.takes(work.name, workers) and (self.kind in work.kinds or self.kind == "limit")

    def takes(self, work: str, workers: int) -> bool:
        listed = work in self.only if self.only else work not in self.skip
        return listed and workers <= self.max_workers

    def argv(self, folder: Bin, *, port: int, workers: int, threads: int, attribute: str = "") -> list[str]:
        """The words of the command; split before the values go in, so a path may hold a blank.

        `attribute`: the application in apps.py, instead of the one that answers everything.
        """
        values = {
            "app": f"apps:{attribute or ('asgi' if self.kind == 'asgi' else 'wsgi')}",
            "bin": folder.folder,
            "here": BENCHMARKS,
            "port": port,
            "threads": threads,
            "workers": workers,
        }
        if "{python}" in self.cmd:
            values["python"] = folder.python
        return [word.format(**values) for word in shlex.split(self.cmd)]

    def require(self, installed: Mapping[str, str], work: Workload | None = None) -> None:
        """NotInstalled naming what is missing for this row, and for the workload if one is given."""
        wanted = [*self.packages]
        if work and work.package and self.kind != "limit":
            wanted.append(work.package)
        if missing := [name for name in wanted if name not in installed]:
            raise NotInstalled(f"not installed in the bin folder {self.bin!r}: {', '.join(missing)}")
        for program, package in self.programs.items():
            if shutil.which(program) is None:
                raise NotInstalled(f"{program} is not installed: apt-get install {package}")


def read_table(path: Path) -> dict[str, Spec]:
    with path.open("rb") as file:
        table = tomllib.load(file)
    try:
        return {name: spec(name, row) for name, row in table["servers"].items()}
    except (KeyError, TypeError) as error:
        raise TableError(f"{path.name}: {error}") from error


def spec(name: str, row: Mapping[str, object]) -> Spec:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Spec(name, **values)  # type: ignore[arg-type]


def select(table: Mapping[str, Spec], names: Sequence[str], kinds: Sequence[str]) -> list[Spec]:
    """The rows that a run has: those named (`row` or `row@bin`), or all of the kinds that need no naming."""
    if not names:
        return [row for row in table.values() if row.kind in kinds and not row.named_only]
    chosen = [instance(table, name) for name in names]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise TableError(f"named twice: {', '.join(sorted(repeated))}")
    return chosen


def instance(table: Mapping[str, Spec], name: str) -> Spec:
    """The row of a name, from another bin folder where the name is `row@bin`."""
    row, at, folder = name.partition("@")
    if row not in table:
        raise TableError(f"no server {row!r}; there are: {', '.join(table)}")
    return replace(table[row], name=name, bin=folder) if at else table[row]


def bins(given: Iterable[str], rows: Iterable[Spec], known: Iterable[str]) -> dict[str, Bin]:
    """The bin folders by name, from --bin NAME=FOLDER; the defaults are the running interpreter's folder."""
    default = Path(sys.executable).parent
    folders = {name: Bin(name, default) for name in known}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or not name:
            raise TableError(f"--bin {text}: expected NAME=FOLDER")
        path = Path(folder).expanduser().absolute()
        if not path.is_dir():
            raise TableError(f"--bin {text}: no such folder")
        folders[name] = Bin(name, path)
    for row in rows:
        if row.bin not in folders:
            raise TableError(f"{row.name} needs --bin {row.bin}=FOLDER")
    return folders


class Installed:
    """What is installed in each bin folder of a run; asked once, before anything is timed."""

    def __init__(self, folders: Mapping[str, Bin], rows: Sequence[Spec], works: Sequence[Workload]) -> None:
        self.folders = {row.bin: folders[row.bin] for row in rows}
        frameworks = [work.package for work in works if work.package]
        self.versions: dict[str, dict[str, str]] = {}
        self.missing: dict[str, str] = {}
        for name, folder in self.folders.items():
            needed = [package for row in rows if row.bin == name for package in row.packages]
            try:
                self.versions[name] = folder.versions(dict.fromkeys(needed + frameworks))
            except NotInstalled as error:
                self.missing[name] = str(error)

    def require(self, row: Spec, work: Workload | None = None) -> None:
        if row.packages and row.bin in self.missing:
            raise NotInstalled(self.missing[row.bin])
        row.require(self.versions.get(row.bin, {}), work)
