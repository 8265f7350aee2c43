"""How many CPUs this process may really use.

A container's share is mostly a quota of CPU time of its control group, which neither os.cpu_count nor the affinity
shows. Control groups nest, and each ancestor's quota holds as well.
"""

import os
import re
from collections.abc import Iterator


def usable_cpus(root: str = "/") -> int:
    """The least of affinity and quotas, a part of a CPU counted as a whole one; at least 1. Never raises.

    Args:
        root: where /proc and /sys are, for tests.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *cpu_quotas(root)]))


def cpu_quotas(root: str = "/") -> Iterator[int]:
    """The quotas of this process's control groups and their ancestors, in CPUs, rounded up."""
    own = dict(_own_groups(root))
    for version, mounted, point in _mounts(root):
        if version not in own:
            continue
        for folder in _with_ancestors(_inside(own[version], mounted)):
            where = os.path.join(root, point.lstrip("/"), folder)
            if version == "cgroup2":
                quota, _, period = _read(os.path.join(where, "cpu.max")).partition(" ")
            else:
                quota = _read(os.path.join(where, "cpu.cfs_quota_us"))
                period = _read(os.path.join(where, "cpu.cfs_period_us"))
            # "max" and -1 stand for no quota.
            if quota.isdecimal() and period.isdecimal() and int(period) > 0:
                yield -(-int(quota) // int(period))


def _own_groups(root: str) -> Iterator[tuple[str, str]]:
    """Type of file system and path of the groups that may have a CPU quota, of lines such as 4:cpu,cpuacct:/path."""
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif "cpu" in controllers.split(","):
            yield "cgroup", path


def _mounts(root: str) -> Iterator[tuple[str, str, str]]:
    """Type, root within the hierarchy, and mount point of what may have CPU quotas; proc_pid_mountinfo(5)."""
    for line in _read(os.path.join(root, "proc/self/mountinfo")).splitlines():
        mount, _, system = line.partition(" - ")
        fields, kind, options = mount.split(" "), system.partition(" ")[0], system.rpartition(" ")[2]
        if len(fields) < 5:
            continue
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            yield kind, _unescaped(fields[3]), _unescaped(fields[4])


def _inside(path: str, mounted: str) -> str:
    """A group's path below a mount point; the mount point itself if the group lies outside of what is mounted."""
    top = mounted.rstrip("/") + "/"
    return "" if not path.startswith(top) or os.pardir in path.split("/") else path.removeprefix(top).strip("/")


def _with_ancestors(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = os.path.dirname(folder)
    yield ""


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _read(path: str) -> str:
    """The text without blanks around; empty if it cannot be read."""
    try:
        with open(path, errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return ""
