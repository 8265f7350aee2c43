"""The CPUs that count are those which affinity and every control group above this process leave to it."""

import os
from pathlib import Path

import pytest

from unicorn_core.settings.cpus import cpu_quotas, usable_cpus

V2_MOUNT = "30 23 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "33 31 0:30 {root} {point} rw,relatime - cgroup cgroup rw,cpu,cpuacct"


class Machine:
    """A fake root folder with /proc and control groups."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/self").mkdir(parents=True)

    def process(self, *groups: str) -> None:
        self._write("proc/self/cgroup", "".join(line + "\n" for line in groups))

    def mounts(self, *lines: str) -> None:
        root = "23 1 8:1 / / rw,relatime - ext4 /dev/root rw"
        memory = "36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
        self._write("proc/self/mountinfo", "\n".join([root, memory, *lines]) + "\n")

    def v2(self, folder: str, quota: str) -> None:
        self._write(f"{folder}/cpu.max", quota + "\n")

    def v1(self, folder: str, quota: int, period: int = 100_000) -> None:
        self._write(f"{folder}/cpu.cfs_quota_us", f"{quota}\n")
        self._write(f"{folder}/cpu.cfs_period_us", f"{period}\n")

    def quotas(self) -> list[int]:
        return list(cpu_quotas(str(self.root)))

    def _write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.mounts(V2_MOUNT.format(root="/", point="/sys/fs/cgroup"))
    made.process("0::/")
    return made


def affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert list(cpu_quotas(str(tmp_path))) == []
    assert usable_cpus(str(tmp_path)) == affinity()


def test_this_machine_has_at_least_one() -> None:
    assert 1 <= usable_cpus() <= affinity()


@pytest.mark.parametrize(
    ("text", "quotas"),
    [
        ("200000 100000", [2]),
        ("150000 100000", [2]),
        ("1000 100000", [1]),
        ("250000 50000", [5]),
        ("max 100000", []),
        ("max", []),
        ("", []),
        ("100000", []),
        ("100000 0", []),
        ("nonsense here", []),
    ],
)
def test_a_containers_quota_is_rounded_up(machine: Machine, text: str, quotas: list[int]) -> None:
    machine.v2("sys/fs/cgroup", text)
    assert machine.quotas() == quotas


def test_a_quota_below_one_cpu_leaves_one(machine: Machine) -> None:
    machine.v2("sys/fs/cgroup", "5000 100000")
    assert usable_cpus(str(machine.root)) == 1


def test_a_quota_above_the_affinity_changes_nothing(machine: Machine) -> None:
    machine.v2("sys/fs/cgroup", "99900000 100000")
    assert usable_cpus(str(machine.root)) == affinity()


def test_the_quotas_of_all_ancestors_hold(machine: Machine) -> None:
    machine.process("0::/system.slice/app.service/workers")
    machine.v2("sys/fs/cgroup/system.slice", "300000 100000")
    machine.v2("sys/fs/cgroup/system.slice/app.service", "400000 100000")
    machine.v2("sys/fs/cgroup/system.slice/app.service/workers", "max 100000")
    machine.v2("sys/fs/cgroup/system.slice/other.service", "100000 100000")
    assert machine.quotas() == [4, 3]


def test_the_first_version_of_control_groups_is_understood(machine: Machine) -> None:
    machine.process("5:memory:/docker/abc", "4:cpu,cpuacct:/docker/abc", "3:cpuset:/elsewhere")
    machine.mounts(V1_MOUNT.format(root="/", point="/sys/fs/cgroup/cpu,cpuacct"))
    machine.v1("sys/fs/cgroup/cpu,cpuacct", -1)
    machine.v1("sys/fs/cgroup/cpu,cpuacct/docker/abc", 250_000)
    assert machine.quotas() == [3]


def test_a_container_that_sees_only_its_part_of_the_hierarchy(machine: Machine) -> None:
    machine.process("4:cpu,cpuacct:/docker/abc/inner")
    machine.mounts(V1_MOUNT.format(root="/docker/abc", point="/sys/fs/cgroup/cpu"))
    machine.v1("sys/fs/cgroup/cpu", 400_000)
    machine.v1("sys/fs/cgroup/cpu/inner", 200_000)
    assert machine.quotas() == [2, 4]


@pytest.mark.parametrize("path", ["/docker/abcdef", "/other", "/../outside", "", "relative"])
def test_a_group_outside_of_what_is_mounted_has_the_mount_points_quota(machine: Machine, path: str) -> None:
    machine.process(f"0::{path}")
    machine.mounts(V2_MOUNT.format(root="/docker/abc", point="/sys/fs/cgroup"))
    machine.v2("sys/fs/cgroup", "200000 100000")
    machine.v2("sys/fs/outside", "100000 100000")
    assert machine.quotas() == [2]


def test_both_versions_side_by_side(machine: Machine) -> None:
    machine.process("4:cpu:/a", "0::/b")
    machine.mounts(
        V1_MOUNT.format(root="/", point="/sys/fs/cgroup/cpu"), V2_MOUNT.format(root="/", point="/sys/fs/cgroup/unified")
    )
    machine.v1("sys/fs/cgroup/cpu/a", 300_000)
    machine.v2("sys/fs/cgroup/unified/b", "500000 100000")
    assert machine.quotas() == [3, 5]


def test_a_mount_point_may_have_blanks_in_its_name(machine: Machine) -> None:
    machine.mounts(V2_MOUNT.format(root="/", point="/my\\040groups"))
    machine.v2("my groups", "200000 100000")
    assert machine.quotas() == [2]


@pytest.mark.parametrize("text", ["", "x", "x - ", " - cgroup2", "1 2 3 4 5 - cgroup", "\udcff\n\n - - -"])
def test_files_that_make_no_sense_count_as_none(machine: Machine, text: str) -> None:
    for name in ("cgroup", "mountinfo"):
        (machine.root / "proc/self" / name).write_bytes(text.encode(errors="surrogateescape"))
    assert usable_cpus(str(machine.root)) == affinity()
