"""Settings that are lists in one text."""

import re

from hotswap_stream.errors import ConfigurationError

API_KEY_CHARACTERS_MIN = 8

_HOST_NAME = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


def parse_api_keys(text: str | None) -> dict[str, str]:
    """Return name → key of `HOTSWAP_API_KEYS`. ConfigurationError, which shows no key, if it does not fit."""
    keys: dict[str, str] = {}
    for position, pair in enumerate(filter(None, (part.strip() for part in (text or "").split(","))), start=1):
        name, separator, key = (part.strip() for part in pair.partition(":"))
        if not separator or not name or len(key) < API_KEY_CHARACTERS_MIN:
            raise ConfigurationError(
                f"HOTSWAP_API_KEYS: entry {position} is not 'name:key' with a key of at least "
                f"{API_KEY_CHARACTERS_MIN} characters"
            )
        if name in keys:
            raise ConfigurationError(f"HOTSWAP_API_KEYS: the name {name!r} stands there twice")
        keys[name] = key
    return keys


def parse_allowed_hosts(text: str | None) -> tuple[str, ...]:
    """Return the names of `HOTSWAP_API_ALLOWED_HOSTS`. ConfigurationError if one does not fit."""
    names = tuple(filter(None, (part.strip() for part in (text or "").split(","))))
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ConfigurationError(
                f"HOTSWAP_API_ALLOWED_HOSTS: {name[:200]!r} is not a name such as 'hotswap-api' or '*.example.com', "
                "without scheme and port, and not '*'"
            )
    return names
