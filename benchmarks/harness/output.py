"""Where results go: Markdown to standard output and a file, raw figures to a file, progress to a terminal."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path


class Output:
    def __init__(self, markdown: Path | None, raw: Path | None) -> None:
        self.markdown = markdown
        self.raw = raw

    def emit(self, text: str) -> None:
        """A paragraph of Markdown, followed by an empty line."""
        self.progress("")
        print(text, end="\n\n", flush=True)
        if self.markdown:
            with self.markdown.open("a") as file:
                file.write(text + "\n\n")

    def record(self, entry: Mapping[str, object]) -> None:
        """One line of JSON."""
        if self.raw:
            with self.raw.open("a") as file:
                file.write(json.dumps(plain({"at": time.strftime("%FT%T%z"), **entry})) + "\n")

    def progress(self, text: str) -> None:
        """What is being done; replaced by the next, and only shown on a terminal."""
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def plain(value: object) -> object:
    """The value as JSON can hold it: null for what is not a number."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
