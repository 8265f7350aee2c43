"""Flags come from the registry; long ones may be shortened while that is clear."""

import click
import pytest

from unicorn_cli.command import build_command
from unicorn_cli.flags import source
from unicorn_core.settings.registry import Registry

REGISTRY = Registry.discover()
COMMAND = build_command(REGISTRY)


def parse(*words: str) -> dict[str, object]:
    given = COMMAND.make_context("unicorn", list(words)).params
    return {name: value for name, value in given.items() if value not in (None, ())}


def test_every_flag_of_every_setting_is_an_option() -> None:
    options = {flag for parameter in COMMAND.params for flag in parameter.opts}
    assert {flag for setting in REGISTRY.settings.values() for flag in setting.flags} <= options


def test_what_is_not_given_is_not_a_value() -> None:
    assert parse("app:app") == {"app": "app:app"}


def test_values_switches_and_repeated_flags() -> None:
    words = ("-w", "4", "--no-sendfile", "--initgroups", "-b", "a:1", "--bind=b:2", "app:app")
    assert parse(*words) == {
        "workers": "4",
        "sendfile": False,
        "initgroups": True,
        "bind": ("a:1", "b:2"),
        "app": "app:app",
    }


@pytest.mark.parametrize(
    ("short", "name", "value"),
    [
        (("--backl", "5"), "backlog", "5"),
        (("--graceful=7",), "graceful_timeout", "7"),
        (("--worker-cl", "x"), "worker_class", "x"),
    ],
)
def test_a_long_option_may_be_shortened(short: tuple[str, ...], name: str, value: str) -> None:
    assert parse(*short)[name] == value


def test_the_value_of_an_option_is_not_taken_for_one() -> None:
    assert parse("--name", "--work", "-w", "-b") == {"proc_name": "--work", "workers": "-b"}
    assert parse("-n", "-w", "app:app") == {"proc_name": "-w", "app": "app:app"}


def test_short_options_may_be_joined_with_their_values() -> None:
    assert parse("-w4", "-b", "a:1", "-ba:2") == {"workers": "4", "bind": ("a:1", "a:2")}


def test_an_exact_name_is_not_ambiguous_although_longer_ones_begin_with_it() -> None:
    assert parse("--max-requests", "5") == {"max_requests": "5"}


def test_an_ambiguous_beginning_names_the_candidates() -> None:
    with pytest.raises(click.UsageError, match=r"--worker is ambiguous: .*--worker-class.*--workers"):
        parse("--worker", "2")


def test_what_follows_two_hyphens_is_no_option() -> None:
    assert parse("--", "--odd:app") == {"app": "--odd:app"}


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(click.NoSuchOption):
        parse("--nosuch")


def test_the_source_names_the_flag() -> None:
    made = source(REGISTRY, "command line", {"workers": "4", "bind": ("a:1",), "app": "x", "timeout": None})
    assert made.values == {"workers": "4", "bind": ["a:1"]}
    assert made.origin("workers") == "command line --workers"


def test_help_shows_every_flag_under_its_section() -> None:
    text = COMMAND.get_help(COMMAND.make_context("unicorn", ["app:app"]))
    for setting in REGISTRY.settings.values():
        for flag in setting.flags:
            assert flag in text
        if setting.flags:
            assert f"{setting.section}:" in text


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("--proxy-protocol", "v1", "app:app"), "v1"),
        (("--proxy-protocol=v1", "app:app"), "v1"),
        (("--proxy-protocol", "app:app"), "auto"),
        (("--proxy-prot", "--workers", "3", "app:app"), "auto"),
        (("app:app", "--proxy-protocol"), "auto"),
    ],
)
def test_an_option_that_can_do_without_an_argument_takes_only_what_is_one(words: tuple[str, ...], value: str) -> None:
    given = parse(*words)
    assert (given["proxy_protocol"], given["app"]) == (value, "app:app")
