"""What the documentation says of refusals is what the code does."""

import re
from pathlib import Path

import pytest
from codec_driver import CODECS
from request_corpus import MALFORMED
from verdicts import PAGE, page

import unicorn_http

SOURCES = Path(unicorn_http.__file__).parent
REFUSAL = re.compile(r"Refusal\(\s*[0-9]{3},\s*\"([a-z0-9.-]+)\"")


def reasons(*folders):
    """All reason codes in these folders of the package."""
    sources = [source for folder in folders for source in (SOURCES / folder).rglob("*.py")]
    return {reason for source in sources for reason in REFUSAL.findall(source.read_text(encoding="utf-8"))}


@pytest.mark.skipif("h1c" not in {codec.name for codec in CODECS}, reason="the page needs all parsers: gunicorn_h1c")
def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run ./dev run verdicts"


def test_every_reason_is_explained():
    found = reasons(".")
    assert len(found) > 40
    explained = set(re.findall(r"`([a-z0-9.-]+)`", (PAGE.parent / "http.md").read_text(encoding="utf-8")))
    assert found - explained == set()


def test_every_reason_about_bytes_has_a_case():
    by_load = {"concurrency"}
    hidden = {"field-name"}  # by field-line: the scan sees it first
    assert reasons("semantics", "h1") - {case.reason for case in MALFORMED} - by_load - hidden == set()
