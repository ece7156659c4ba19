"""Is this text a KLL sketch of floats, as Apache DataSketches writes it? Checked before any library reads it.

The library trusts its input: a few changed bytes make it read outside its memory and take the process with it. A text
that passes here is one it could have written: counts, order and length fit together. Layout, little-endian: preamble
ints, serial version, family 15, flags, k (2 bytes), m, unused; then for more than one value n (8), min k (2), number
of levels, unused, where each level begins (4 each), least and largest value, values. The values of level h stand for
2^h each, and are sorted from level 1 on.
"""

import binascii
from base64 import b64decode
from itertools import pairwise
from math import isfinite
from operator import le
from struct import unpack_from

CHARACTERS_MAX = 65_536
K_MIN, K_MAX = 8, 4_096
LEVELS_MAX = 60
VALUES_MAX = 2**48
"""The library counts values in 64 bits: merged beyond that, it never returns."""

_FAMILY, _M = 15, 8
_EMPTY, _SORTED, _SINGLE = 1, 2, 4
_LEVELS_AT = 20


def wrong_sketch(encoded: str) -> str | None:
    """Return why the text is no sketch, or None."""
    if len(encoded) > CHARACTERS_MAX:
        return f"{len(encoded)} characters; a sketch has at most {CHARACTERS_MAX}"
    try:
        content = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return "not base64"
    if len(content) < 8:
        return f"{len(content)} bytes; a KLL sketch has 8 or more"
    ints, version, family, flags, k, m = unpack_from("<BBBBHB", content)
    if family != _FAMILY or m != _M or not K_MIN <= k <= K_MAX:
        return f"family {family}, k {k}, m {m}: a KLL sketch has family {_FAMILY}, k {K_MIN} to {K_MAX} and m {_M}"
    match ints, version, flags & (_EMPTY | _SINGLE):
        case 2, 1, 1:
            return None if len(content) == 8 else "an empty sketch with bytes behind it"
        case 2, 2, 4:
            return _wrong_values(content[8:], 1, one_run=True)
        case 5, 1, 0:
            return _wrong_levels(content, k, bool(flags & _SORTED))
    return "its preamble is not that of a KLL sketch of floats"


def _wrong_levels(content: bytes, k: int, level_0_sorted: bool) -> str | None:
    if len(content) < _LEVELS_AT:
        return "cut off in its preamble"
    n, min_k, levels = unpack_from("<QHB", content, 8)
    if not (K_MIN <= min_k <= k and 1 <= levels <= LEVELS_MAX and n > 1):
        return f"n {n}, min k {min_k}, {levels} levels: these do not go together"
    if n > VALUES_MAX:
        return f"n {n}; a sketch is made of at most {VALUES_MAX} values"
    values_at = _LEVELS_AT + 4 * levels
    if len(content) < values_at + 8:
        return "cut off in its levels"
    capacity = sum(max(_M, _capacity(k, levels - level - 1)) for level in range(levels))
    bounds = (*unpack_from(f"<{levels}I", content, _LEVELS_AT), capacity)
    counts = [upper - lower for lower, upper in pairwise(bounds)]
    if min(counts) < 0 or sum(count << level for level, count in enumerate(counts)) != n:
        return f"the values of its levels do not add up to n, {n}"
    if len(content) != values_at + 8 + 4 * sum(counts):
        return f"{len(content)} bytes; its levels need {values_at + 8 + 4 * sum(counts)}"
    if wrong := _wrong_values(content[values_at : values_at + 8], 2, one_run=True):
        return f"least and largest value: {wrong}"
    least, largest = unpack_from("<2f", content, values_at)
    at = values_at + 8
    for level, count in enumerate(counts):
        run = content[at : at + 4 * count]
        if wrong := _wrong_values(run, count, one_run=level > 0 or level_0_sorted):
            return f"level {level}: {wrong}"
        if count and not (least <= min(found := unpack_from(f"<{count}f", run)) and max(found) <= largest):
            return f"level {level}: a value is not between the least and the largest"
        at += 4 * count
    return None


def _wrong_values(content: bytes, count: int, *, one_run: bool) -> str | None:
    if len(content) != 4 * count:  # pragma: no cover  (the length of the whole was checked before)
        return f"{len(content)} bytes for {count} values of 4"
    values = unpack_from(f"<{count}f", content)
    if not all(map(isfinite, values)):
        return "a value is not finite"
    if one_run and not all(map(le, values, values[1:])):
        return "the values do not rise"
    return None


def _capacity(k: int, depth: int) -> int:
    """Return how many values a level has room for, `depth` levels below the top.

    K · (2/3)^depth, rounded as the library does.
    """
    if depth > 30:
        return _capacity(_capacity(k, depth // 2), depth - depth // 2)
    rounded: int = ((k << (depth + 1)) // 3**depth + 1) >> 1
    return rounded
