"""Webhooks as people ask about them: who set each, how far it was told, and what is wrong where it lags."""

from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from hotswap_stream.application.log.stream import SetWebhook
from hotswap_stream.application.webhooks.delivery import WebhookNote
from hotswap_stream.application.webhooks.webhook import Webhook


class Position(Protocol):
    """How far one was told."""

    @property
    def next_offset(self) -> int | None:
        """Where its process goes on; None where none has begun."""
        ...

    @property
    def lag(self) -> int | None:
        """How many records it is behind."""
        ...

    @property
    def note(self) -> WebhookNote:
        """What became of the events before it."""
        ...


class ListedWebhook(Struct, frozen=True, kw_only=True):
    """One webhook."""

    name: str
    set_by: Literal["command", "settings"]
    url: str | None
    """Without a query; None where only the agents' settings have it and they delivered nothing yet."""
    events: tuple[str, ...] | None
    """None where only the agents' settings say so."""
    signed_with: str | None
    """The name of the agents' secret; None: the one without a name."""
    actor: str | None
    """Who set it, where a command did."""
    reason: str | None
    since: datetime | None
    next_offset: int | None
    lag: int | None
    delivered: int
    dead_letters: int
    last_delivered_at: datetime | None
    failing_since: datetime | None
    attempts: int
    last_failure: str | None


def listed_webhook(
    name: str, position: Position, webhook: Webhook | None = None, found: SetWebhook | None = None
) -> ListedWebhook:
    """Return what is known of one: `webhook` where its settings are, `found` where a command set it."""
    by_command = found if webhook is not None and webhook.since_offset is not None else None
    note = position.note
    return ListedWebhook(
        name=name,
        set_by="settings" if by_command is None else "command",
        url=note.url if webhook is None else webhook.shown_url,
        events=None if webhook is None else webhook.event_patterns,
        signed_with=None if by_command is None else by_command.data.signed_with,
        actor=None if by_command is None else by_command.actor,
        reason=None if by_command is None else by_command.reason,
        since=None if by_command is None else by_command.at,
        next_offset=position.next_offset,
        lag=position.lag,
        delivered=note.delivered,
        dead_letters=note.dead_letters,
        last_delivered_at=note.last_delivered_at,
        failing_since=note.failing_since,
        attempts=note.attempts,
        last_failure=note.last_failure,
    )
