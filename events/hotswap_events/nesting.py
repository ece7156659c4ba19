"""How deep a JSON text nests: decided by the bytes alone, so that every reader decides alike.

A recursive parser gives up where its own stack ends, which differs between processes; two readers would then disagree
on whether an event counts. Texts that nest deeper than any event does are therefore refused before they are parsed.
"""

import re

NESTING_MAX = 64
"""Objects and arrays inside one another; the events of this log need four."""

SHALLOW_BYTES_MAX = 1_024
"""A text this short that closes what it opens nests 512 deep at most, which every parser's stack holds."""

_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|([\]}])', re.DOTALL)
"""A string that never closes runs to the end of the text: each byte is looked at once, whatever the text is."""


def nests_too_deep(text: bytes) -> bool:
    """Return whether objects and arrays nest deeper than `NESTING_MAX`."""
    if len(text) <= SHALLOW_BYTES_MAX or text.count(b"{") + text.count(b"[") <= NESTING_MAX:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match.group(1) is not None:
            depth += 1
            if depth > NESTING_MAX:
                return True
        elif match.group(2) is not None:
            depth -= 1
    return False
