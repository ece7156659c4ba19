"""Webhooks that are facts of the environment: set and removed by events of the log's own stream."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.webhooks import WEBHOOK_PATTERNS_MAX, WebhookRemoved, WebhookSet
from hotswap_stream.application.log.stream import SetWebhook
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.webhooks.webhook import DEFAULT_EVENTS, NAME, WEBHOOKS_MAX, Webhook, url_problem
from hotswap_stream.errors import HotswapError

HOSTS_SETTING = "HOTSWAP_WEBHOOK_HOSTS"
SECRETS_SETTING = "HOTSWAP_WEBHOOK_SECRETS"

_PATTERN = re.compile(r"[a-z0-9.*-]{1,200}")


class WebhookRefusedError(HotswapError):
    """A webhook cannot be set or removed like this; the message says what would be right."""


async def set_webhook(
    registry: Registry, data: WebhookSet, *, actor: str, command_id: str, reason: str | None = None
) -> SetWebhook:
    """Write that a receiver is told of events from here on; nothing is written where it is so already.

    Raises:
        WebhookRefusedError: Something about it is wrong, or there are too many.
        HotswapError: One of those of `Registry.record`.
    """
    await registry.catch_up()
    known = registry.fold.log.webhooks
    if wrong := wrong_webhook(data):
        raise WebhookRefusedError(wrong)
    if data.name not in known and len(known) >= WEBHOOKS_MAX:
        raise WebhookRefusedError(f"{len(known)} webhooks are set already; at most {WEBHOOKS_MAX} may be: remove one")
    if data.name not in known or known[data.name].data != data:
        await registry.record(data, actor=actor, command_id=command_id, reason=reason)
    return registry.fold.log.webhooks[data.name]


async def remove_webhook(
    registry: Registry, name: str, *, actor: str, command_id: str, reason: str | None = None
) -> None:
    """Write that a receiver is told of nothing from here on.

    Raises:
        WebhookRefusedError: No webhook of this name was set by a command.
        HotswapError: One of those of `Registry.record`.
    """
    await registry.catch_up()
    known = registry.fold.log.webhooks
    if name not in known:
        raise WebhookRefusedError(
            f"no webhook {name[:63]!r} is set by a command; there are {', '.join(known) or 'none'}. Those of "
            "the agents' settings are removed there"
        )
    await registry.record(WebhookRemoved(name=name), actor=actor, command_id=command_id, reason=reason)


def wrong_webhook(data: WebhookSet) -> str | None:
    """Return why this cannot be a webhook, or None. The text shows no more of the URL than its host."""
    for what, name in (("name", data.name), ("signed_with", data.signed_with)):
        if name is not None and not NAME.fullmatch(name):
            return f"{what} {name[:63]!r} is not of lower-case letters, digits and '-', at most 63 characters"
    if wrong := url_problem(data.url):
        return wrong
    if urlsplit(data.url).query:
        return (
            "the URL has a query, which often holds a secret, and everybody who may read the log could read it: leave "
            "it out, or set such a webhook in HOTSWAP_WEBHOOK_URLS of the agents"
        )
    if not 0 < len(data.event_patterns) <= WEBHOOK_PATTERNS_MAX:
        return f"{len(data.event_patterns)} patterns of events; 1 to {WEBHOOK_PATTERNS_MAX} are allowed"
    types = sorted(REGISTRY_CODEC.type_names.values())
    for pattern in data.event_patterns:
        if not _PATTERN.fullmatch(pattern) or not fnmatch.filter(types, pattern):
            return (
                f"{pattern[:200]!r} matches no type of event; '*' stands for any characters, and the types are "
                f"{', '.join(types)}"
            )
    return None


def webhook_set(name: str, url: str, events: Iterable[str] | None, signed_with: str | None) -> WebhookSet:
    """Return the event; without patterns of events those of alerts."""
    patterns = tuple(events or ()) or tuple(DEFAULT_EVENTS.split(","))
    return WebhookSet(name=name, url=url, event_patterns=patterns, signed_with=signed_with)


def as_webhook(found: SetWebhook, keys: Mapping[str | None, tuple[bytes, ...]], hosts: Iterable[str]) -> Webhook:
    """Return the webhook as these agents' settings let it be: with their secret, or with what is in its way."""
    data, problem = found.data, None
    signing = keys.get(data.signed_with, ())
    host = (urlsplit(data.url).hostname or "").lower()
    if not any(fnmatch.fnmatchcase(host, pattern.lower()) for pattern in hosts):
        problem = f"the agents may not post to {host}: it is not in their {HOSTS_SETTING}"
    elif not signing:
        named = "HOTSWAP_WEBHOOK_SECRET" if data.signed_with is None else f"{data.signed_with!r} in {SECRETS_SETTING}"
        problem = f"the agents have no secret to sign with: {named} is not set"
    return Webhook(
        name=data.name,
        url=data.url,
        keys=signing,
        event_patterns=data.event_patterns,
        since_offset=found.since_offset,
        problem=problem,
    )
