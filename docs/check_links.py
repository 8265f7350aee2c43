"""Check that every relative link of the documentation leads to a file, and every #anchor to a heading.

Run as `./dev run docs`. Links to the outside are left alone: they need a network and change without us.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("*.md", "docs/**/*.md", "packages/*/*.md", "benchmarks/**/*.md", "examples/**/*.md")

FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
INLINE_LINK = re.compile(r"\]\(\s*<?([^\s<>()]+)>?(?:\s+[\"'(][^)]*)?\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
OUTSIDE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line number and target of each link that stands outside of code."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    text = CODE_SPAN.sub(blank, FENCE.sub(blank, text))
    for pattern in (INLINE_LINK, REFERENCE):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match[1]


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get, in the common Markdown manner."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text("utf-8"))):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 1
        unique = anchor
        while unique in found:
            unique = f"{anchor}-{number}"
            number += 1
        found.add(unique)
    return found


def fault(page: Path, target: str) -> str | None:
    """What is wrong with a link, or None."""
    if OUTSIDE.match(target):
        return None
    path, _, anchor = unquote(target).partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.is_relative_to(ROOT):
        return "leads out of the repository"
    if not file.exists():
        return "no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return "no such heading"
    return None


def main() -> int:
    pages = sorted({page for pattern in PAGES for page in ROOT.glob(pattern)})
    checked = faults = 0
    for page in pages:
        for line, target in links(page.read_text("utf-8")):
            checked += 1
            if problem := fault(page, target):
                faults += 1
                print(f"{page.relative_to(ROOT)}:{line}: {target}: {problem}", file=sys.stderr)
    print(f"{len(pages)} pages, {checked} links, {faults} broken")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
