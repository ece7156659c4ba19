"""Who is told of events by HTTP, as the environment itself says it: events of the log's own stream."""

from typing import Annotated

from msgspec import Meta, Struct

WEBHOOK_URL_CHARACTERS_MAX = 2_048
WEBHOOK_PATTERNS_MAX = 32

WebhookName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class WebhookSet(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From here on this receiver is told of these events. Replaces what was set under the name.

    No secret is in it: `signed_with` is the name of one that the agents' settings hold.
    """

    name: WebhookName
    url: Annotated[str, Meta(max_length=WEBHOOK_URL_CHARACTERS_MAX)]
    """Without a query, which often holds a secret, and without credentials."""
    event_patterns: Annotated[tuple[str, ...], Meta(min_length=1, max_length=WEBHOOK_PATTERNS_MAX)]
    """Types of events; `*` stands for any characters."""
    signed_with: WebhookName | None = None
    """Which of the agents' secrets signs what is posted; absent: the one without a name."""


class WebhookRemoved(Struct, frozen=True, kw_only=True, gc=False):
    """This receiver is told of nothing from here on."""

    name: WebhookName


WebhookEvent = WebhookSet | WebhookRemoved

WEBHOOK_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.webhook.set.v1": WebhookSet,
    "hotswap.webhook.removed.v1": WebhookRemoved,
}
