"""Grammar of RFC 9110, RFC 9112 and RFC 3986, named as there: over bytes, or text for targets."""

import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""

FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
"""RFC 9112 section 5: no blank before the colon, no control characters in the value. Blanks around it are still there:
a pattern that told them apart would take quadratic time for a long run of them."""

SPACED_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t ]+:([\t\x20-\x7e\x80-\xff]*)")
"""A field line with the blanks before its colon that RFC 9112 section 5.1 forbids."""

FIELD_CONTENT = re.compile(rb"[\t ][\t\x20-\x7e\x80-\xff]*")
"""The rest of a folded value (RFC 9112 section 5.2): begins with a blank, no control characters."""

REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]")
"""RFC 9112 section 3, with single spaces."""

OBS_REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ /[\x21-\x7e\x80-\xff]* HTTP/[0-9]\.[0-9]")
"""The same with bytes beyond ASCII in a path: no RFC has them, but clients that forget to encode them do."""

ORIGIN_FORM = re.compile(r"/[\x21\x22\x24-\x7e\x80-\xff]*")
"""RFC 9112 section 3.2.1; a fragment (#) never belongs to a request target. What is beyond ASCII is REQUEST_LINE's."""

ABSOLUTE_FORM = re.compile(r"(?i:https?)://([^/?#@\x00-\x20\x7f-\xff]+)((?:[/?][\x21\x22\x24-\x7e]*)?)")
"""RFC 9112 section 3.2.2, of the schemes that an HTTP server can serve; no user information."""

HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[!$&'()*+;=\-._~0-9A-Za-z%]*)(?::[0-9]{0,5})?")
"""RFC 9110 section 7.2: uri-host and port; it may be empty. Without the comma, which no host has in practice: it would
make two Host fields, joined, look like one."""

DIGITS = re.compile(rb"[0-9]{1,18}")
"""Content-Length (RFC 9110 section 8.6): no sign, no blank, and far from any overflow."""

CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"((?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb'(?:=(?:[!#$%&\'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*)'
)
"""RFC 9112 section 7.1: chunk size and extensions. Blanks ("bad white space") are refused."""

BLANK_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"((?:[\t ]*;[\t ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb"(?:[\t ]*=[\t ]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    rb'|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*)'
)
"""The same with the "bad white space" that RFC 9112 section 7.1.1 has recipients take."""
