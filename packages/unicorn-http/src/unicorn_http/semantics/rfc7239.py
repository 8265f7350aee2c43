"""The grammar of the field Forwarded (RFC 7239 section 4), strict."""

import re

from unicorn_http.semantics.refusal import Refusal

_PAIR = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)="
    r"(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"
    r'"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)")'
)
_ESCAPE = re.compile(r"\\(.)")
_NEXT = re.compile(r"[\t ]*(,)[\t ]*|(;)")


def parse_forwarded(value: str) -> list[dict[str, str]]:
    """The elements of a list in order, each with its parameters by their lower-case names, quotes taken away.

    Raises:
        Refusal: it is malformed, or an element has a parameter twice.
    """
    element: dict[str, str] = {}
    elements = [element]
    at = 0
    while True:
        pair = _PAIR.match(value, at)
        if pair is None:
            raise _refusal("Forwarded is malformed")
        name = pair[1].lower()
        if name in element:
            raise _refusal(f"Forwarded has {name} twice in one element")
        element[name] = pair[2] if pair[2] is not None else _ESCAPE.sub(r"\1", pair[3])
        at = pair.end()
        if at == len(value):
            return elements
        following = _NEXT.match(value, at)
        if following is None:
            raise _refusal("Forwarded is malformed")
        at = following.end()
        if following[1]:
            element = {}
            elements.append(element)


def _refusal(text: str) -> Refusal:
    return Refusal(400, "forwarded", text, "RFC 7239 section 4")
