"""The benchmark is no package that is installed, so its folder is put on the path here."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture
def options():
    """What a run was asked for."""
    from harness.options import Options
    from harness.workloads import WORKLOADS

    return Options(
        works=(WORKLOADS["hello"],),
        references=("slow",),
        bars=(),
        rounds=3,
        seconds=1,
        warm=1,
        settle=1.0,
        workers=(1,),
        threads=4,
        connections=None,
        server_cpu="0",
        client_cpu="1",
        client_python=Path("python"),
        prefer=False,
        scratch=Path("scratch"),
    )
