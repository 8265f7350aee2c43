"""Bars: reading them, and judging a workload by them."""

import pytest
from harness import bars
from harness.samples import Row, Sample


def row(name, *rates, client_cpu=0.5, server_cpu=1.0, failed=""):
    samples = [Sample(rate, 1000, 1.0, 2.0, client_cpu, "", server_cpu, 1e6 / rate) for rate in rates]
    return Row(name, samples, failed=failed)


def rows(*found):
    return {each.name: each for each in found}


def test_a_bar_is_read():
    assert bars.parse("unicorn-sync>=8*gunicorn-gthread") == bars.Bar("unicorn-sync", "gunicorn-gthread", 8.0)
    assert bars.parse("a@new > b@old") == bars.Bar("a@new", "b@old", 1.0, strict=True)
    assert bars.parse("hello,10k: a >= 0.85 * b").works == ("hello", "10k")


def test_a_bar_from_above_is_read():
    bar = bars.parse("flask: a <= 0.9 * b")
    assert (bar.works, bar.least, bar.strict) == (("flask",), False, False)
    assert str(bar) == "a <= 0.9 x b"
    assert str(bars.parse("a<b")) == "a < 1 x b"


@pytest.mark.parametrize(
    ("text", "ratio", "met"),
    [
        ("a>=b", 1.0, True),
        ("a>b", 1.0, False),
        ("a<=b", 1.0, True),
        ("a<b", 1.0, False),
        ("a<=b", 0.9, True),
        ("a<=b", 1.1, False),
        ("a<=b", float("nan"), False),
        ("a>=b", float("nan"), False),
    ],
)
def test_when_a_bar_is_met(text, ratio, met):
    assert bars.parse(text).met(ratio) is met


def test_a_bar_from_above_just_missed_does_not_look_met():
    assert bars.parse("a<=b").shown(1.0001) == "1.001"
    assert bars.parse("a>=b").shown(0.9999) == "0.999"


@pytest.mark.parametrize("text", ["", "a", "a>=", "a>=2*", "a=b", "a<>b", "a>=x*b", ":a>=b", "a>=-1*b"])
def test_what_is_no_bar_is_refused(text):
    with pytest.raises(bars.BarError, match="expected"):
        bars.parse(text)


def test_a_bar_must_fit_the_run():
    bar = bars.parse("hello:a>=b")
    bar.check(["a", "b"], ["hello"])
    with pytest.raises(bars.BarError, match="'b'"):
        bar.check(["a"], ["hello"])
    with pytest.raises(bars.BarError, match="workload 'hello'"):
        bar.check(["a", "b"], ["10k"])


def test_medians_decide():
    verdict = bars.judge(bars.parse("a>=2*b"), "hello", rows(row("a", 1, 210, 400), row("b", 100, 100, 900)))
    assert verdict.met
    assert str(verdict) == "hello: a >= 2 x b: met, measured 2.100, 2.100 by CPU time a request"


def test_a_bar_just_missed_does_not_look_met():
    verdict = bars.judge(bars.parse("a>=0.85*b"), "hello", rows(row("a", 84999), row("b", 100000)))
    assert not verdict.met
    assert "**not met**, measured 0.849," in str(verdict)


def test_strictly_more():
    equal = rows(row("a", 100), row("b", 100))
    assert bars.judge(bars.parse("a>=b"), "hello", equal).met
    assert not bars.judge(bars.parse("a>b"), "hello", equal).met


def test_a_failed_server_does_not_meet_its_bar():
    verdict = bars.judge(bars.parse("a>=b"), "hello", rows(row("a", 200, failed="after load"), row("b", 100)))
    assert not verdict.met
    assert str(verdict) == "hello: a >= 1 x b: **not met**, no figure"


def test_where_a_bar_holds():
    only_b = rows(row("b", 100))
    assert bars.judge(bars.parse("a>=b"), "pipeline", only_b) is None
    assert bars.judge(bars.parse("hello:a>=b"), "pipeline", only_b) is None
    assert not bars.judge(bars.parse("pipeline:a>=b"), "pipeline", only_b).met


def test_doubts_are_told():
    verdict = bars.judge(
        bars.parse("a>=b"), "hello", rows(row("a", 200, client_cpu=0.99), row("b", 100, server_cpu=0.5))
    )
    assert str(verdict).endswith("; the load generator was at its limit with a; b had only 50% of a core")
