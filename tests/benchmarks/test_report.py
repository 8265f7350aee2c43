"""Medians, ratios, tables and the header."""

import math

import pytest
from harness import load, machine, markdown, output
from harness.samples import Row, Sample, cpu_ratio, ratio
from harness.workloads import WORKLOADS


def row(name, *rates, client_cpu=0.5, failed="", errors=""):
    samples = [Sample(rate, 1000, 1.0, 2.0, client_cpu, errors, 1.0, 1e6 / rate) for rate in rates]
    return Row(name, samples, rss=20.0, pss=10.0, failed=failed)


def rows(*found):
    return {each.name: each for each in found}


def test_ratios_are_of_medians():
    found = rows(row("fast", 100, 300, 5000), row("slow", 100), row("broken", 9, failed="why"))
    assert ratio(found, "fast", "slow") == pytest.approx(3.0)
    assert cpu_ratio(found, "fast", "slow") == pytest.approx(3.0)
    assert math.isnan(ratio(found, "broken", "slow"))
    assert math.isnan(ratio(found, "fast", "absent"))


def test_the_table_of_a_workload(options):
    missing = Row("missing", failed="not installed in the bin folder 'peers': missing")
    text = load.report(
        WORKLOADS["hello"],
        rows(missing, row("slow", 100), row("fast", 250, 200, 300, client_cpu=0.97)),
        options,
    )
    lines = text.splitlines()
    assert lines[0].startswith("### hello: GET, 13 bytes, keep-alive (64 connections, 1 worker(s)")
    assert "| x slow | errors |" in lines[2]
    assert lines[4].startswith("| fast | 250 | 200..300 | 1.00 | 2.00 | 100% | 4000.0 | 97% (!) | 20 | 10 | 2.50 |")
    assert lines[5].startswith("| slow | 100 |")
    assert lines[6].startswith("| missing | - |")
    assert lines[6].endswith("| not installed in the bin folder 'peers': missing |")
    assert len({line.count("|") for line in lines[2:7]}) == 1
    assert lines[-1].startswith("(!) the load generator used 95% of its core")


def test_cells_cannot_break_a_table():
    text = markdown.table(["a", "b", "c"], [["x|y", "1", "two\nlines"]])
    assert text == "| a | b | c |\n| --- | ---: | --- |\n| x\\|y | 1 | two lines |"


def test_figures():
    assert markdown.number(math.nan) == "-"
    assert markdown.number(1.005, 1) == "1.0"
    assert markdown.percent(math.nan) == "-"
    assert markdown.spread([3.2, 1.1], 1) == "1.1..3.2"
    assert markdown.spread([]) == "-"


def test_raw_figures_are_json():
    assert output.plain({"a": [math.nan, 1.5], "b": {"c": (math.nan,)}}) == {
        "a": [None, 1.5],
        "b": {"c": [None]},
    }


def test_facts_of_the_machine():
    assert machine.cpu_model("processor\t: 0\nmodel name\t: Some  CPU @ 2 GHz\n") == "Some CPU @ 2 GHz"
    assert machine.cpu_model("") == "unknown CPU"
    assert machine.memory_size("MemTotal:       25165824 kB\n") == "24 GiB"
    versions = {"python": "CPython 3.13.0", "gunicorn": "27.0.1", "granian": "2.8.7"}
    assert machine.packages("peers", versions) == "peers: CPython 3.13.0; gunicorn 27.0.1, granian 2.8.7"
    assert machine.packages("unicorn", {"python": "CPython 3.13.0"}) == "unicorn: CPython 3.13.0"
