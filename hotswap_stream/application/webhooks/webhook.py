"""Webhooks: who is told of which events, as the settings say it.

Signatures are those of Standard Webhooks 1.0 (https://www.standardwebhooks.com).
"""

import base64
import binascii
import fnmatch
import re
from hashlib import sha256
from urllib.parse import SplitResult, urlsplit, urlunsplit

from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_stream.errors import ConfigurationError

SECRET_PREFIX = "whsec_"  # noqa: S105 - says that one follows
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
SECRETS_MAX = 4
WEBHOOKS_MAX = 16
URL_CHARACTERS_MAX = 2_048
TIMEOUT_MS_MIN = 100
TIMEOUT_MS_MAX = 60_000
RETRY_SECONDS_MAX_MAX = 7 * 24 * 60 * 60

DEFAULT_EVENTS = "hotswap.alert.raised.*,hotswap.alert.cleared.*,hotswap.alert.snooze-ended.*"
"""As the setting has it by default."""

URLS_SETTING = "HOTSWAP_WEBHOOK_URLS"
SECRET_SETTING = "HOTSWAP_WEBHOOK_SECRET"  # noqa: S105 - the name of a setting
EVENTS_SETTING = "HOTSWAP_WEBHOOK_EVENTS"

_NAMED = re.compile(r"([^=:/?#\s]+)=(.*)", re.DOTALL)
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PATTERN = re.compile(r"[a-z0-9.*-]{1,200}")


class Webhook(Struct, frozen=True, kw_only=True):
    """One receiver. `repr` and `shown_url` show neither keys nor what a URL often hides in its query."""

    name: str
    """Name of the group that keeps its position. Given by the user, or made from the URL."""
    url: str
    keys: tuple[bytes, ...]
    """Every message is signed with each of them."""
    event_patterns: tuple[str, ...]
    since_offset: int | None = None
    """Offset of the command that set it. None for one of the settings."""
    problem: str | None = None
    """Why nothing can be posted to it, which is told as its failure."""

    def __repr__(self) -> str:
        return f"Webhook({self.name!r})"

    @property
    def shown_url(self) -> str:
        """The URL without its query."""
        return urlunsplit(urlsplit(self.url)._replace(query=""))

    def group(self, prefix: str) -> str:
        """Return the consumer group whose committed offset is how far it was told."""
        of_command = "" if self.since_offset is None else f"-{self.since_offset}"
        return f"{prefix}-webhook-{self.name}{of_command}"

    def wants(self, event_type: str) -> bool:
        """Return whether it is to be told of events of this stored type name."""
        return any(fnmatch.fnmatchcase(event_type, pattern) for pattern in self.event_patterns)


def webhooks_of(
    urls: str | None, secret: str | None, events: str, *, timeout_ms: int, retry_seconds_max: float
) -> tuple[Webhook, ...]:
    """Return the webhooks of the settings; none where there are no URLs.

    Raises:
        ConfigurationError: A setting is wrong. The message says what would be right; it shows no secret, and of a URL
            its host alone.
    """
    entries = [part for part in (each.strip() for each in (urls or "").split(",")) if part]
    if len(entries) > WEBHOOKS_MAX:
        raise ConfigurationError(f"{URLS_SETTING}: {len(entries)} URLs; at most {WEBHOOKS_MAX} are allowed")
    _within("HOTSWAP_WEBHOOK_TIMEOUT_MS", timeout_ms, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)
    _within("HOTSWAP_WEBHOOK_RETRY_SECONDS_MAX", retry_seconds_max, 0, RETRY_SECONDS_MAX_MAX)
    keys, patterns = _keys(secret), _patterns(events)
    if entries and not keys:
        raise ConfigurationError(
            f"{URLS_SETTING} is set and {SECRET_SETTING} is not: what is posted is signed. "
            "`hotswap-stream webhooks secret` prints a fresh one"
        )
    found: dict[str, Webhook] = {}
    for position, entry in enumerate(entries, start=1):
        name, url = _entry(entry, position)
        if name in found:
            raise ConfigurationError(f"{URLS_SETTING}: entry {position}: the name {name!r} stands there twice")
        found[name] = Webhook(name=name, url=url, keys=keys, event_patterns=patterns)
    return tuple(found.values())


def _within(setting: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigurationError(f"{setting}: {value} is not between {least} and {most}")


def _entry(entry: str, position: int) -> tuple[str, str]:
    """Return name and URL of `URL` or `name=URL`."""
    named = _NAMED.fullmatch(entry)
    name, url = named.groups() if named else (None, entry)
    if name is not None and not NAME.fullmatch(name):
        raise ConfigurationError(
            f"{URLS_SETTING}: entry {position}: the name {name!r} is not of lower-case letters, digits and '-', "
            "starting with a letter or digit, at most 63 characters"
        )
    parts = _parts(url, position)
    if name is None:
        host = re.sub(r"[^a-z0-9-]+", "-", (parts.hostname or "").lower()).strip("-")
        name = f"{host[:50]}-{sha256(url.encode()).hexdigest()[:12]}"
    return name, url


def _parts(url: str, position: int) -> SplitResult:
    where = f"{URLS_SETTING}: entry {position}"
    if wrong := url_problem(url):
        raise ConfigurationError(f"{where}: {wrong}")
    return urlsplit(url)


def url_problem(url: str) -> str | None:
    """Return why nothing can be posted to this URL, or None. The text shows no more of it than its host."""
    rule = "it must be a URL such as https://example.com/hook, or name=URL; write a comma in it as %2C"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:  # its text may show what stands for a secret
        return f"that is not a URL: {rule}"
    if parts.scheme not in ("http", "https") or not host:
        return f"it has no scheme http or https and a host: {rule}"
    if parts.username is not None or parts.password is not None:
        return "it has credentials before '@': leave them out; receivers know us by the signature"
    if parts.fragment:
        return f"the URL of {host} has a fragment, which is never sent: leave it out, from '#' on"
    if not url.isascii() or not url.isprintable() or " " in url:
        return f"the URL of {host} has characters that must be written as %XX, or the host as xn--…"
    if len(url) > URL_CHARACTERS_MAX:
        return f"the URL of {host} has {len(url)} characters; at most {URL_CHARACTERS_MAX} may be"
    return None


def named_keys(secrets: str | None) -> dict[str | None, tuple[bytes, ...]]:
    """Return the keys of `HOTSWAP_WEBHOOK_SECRETS` by name; a name that stands there twice signs with both.

    Raises:
        ConfigurationError: An entry does not fit. The message shows no secret.
    """
    found: dict[str | None, tuple[bytes, ...]] = {}
    for position, entry in enumerate(filter(None, (each.strip() for each in (secrets or "").split(","))), start=1):
        name, separator, secret = entry.partition("=")
        if not separator or not NAME.fullmatch(name):
            raise ConfigurationError(f"HOTSWAP_WEBHOOK_SECRETS: entry {position} is not NAME={SECRET_PREFIX}…")
        found[name] = (*found.get(name, ()), *_keys(secret))
    return found


def keys_of(secret: str | None) -> tuple[bytes, ...]:
    """Return the keys of `HOTSWAP_WEBHOOK_SECRET`. ConfigurationError if one does not fit."""
    return _keys(secret)


def _keys(secret: str | None) -> tuple[bytes, ...]:
    texts = (secret or "").split()
    if len(texts) > SECRETS_MAX:
        raise ConfigurationError(f"{SECRET_SETTING}: {len(texts)} secrets; at most {SECRETS_MAX} are allowed")
    return tuple(_key(text, position) for position, text in enumerate(texts, start=1))


def _key(text: str, position: int) -> bytes:
    """Return the bytes of a secret; the message shows nothing of it."""
    try:
        if not text.startswith(SECRET_PREFIX):
            raise ValueError
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
            raise ValueError
    except (ValueError, binascii.Error):
        raise ConfigurationError(
            f"{SECRET_SETTING}: secret {position} is not '{SECRET_PREFIX}' and the base64 of {SECRET_BYTES_MIN} to "
            f"{SECRET_BYTES_MAX} bytes; several are separated by a space. `hotswap-stream webhooks secret` prints one"
        ) from None
    return key


def _patterns(events: str) -> tuple[str, ...]:
    patterns = tuple(part for part in (each.strip() for each in events.split(",")) if part)
    types = sorted(REGISTRY_CODEC.type_names.values())
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern) or not fnmatch.filter(types, pattern):
            raise ConfigurationError(
                f"{EVENTS_SETTING}: {pattern[:200]!r} matches no type of event; '*' stands for any characters, and the "
                f"types are {', '.join(types)}"
            )
    if not patterns:
        raise ConfigurationError(f"{EVENTS_SETTING} names no type of event, such as hotswap.alert.*")
    return patterns
