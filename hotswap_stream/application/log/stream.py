"""The log's own stream as far as it was folded: when it began, and which audit findings a person knows, who is told."""

from msgspec import Struct, field

from hotswap_events.codec import UnknownEvent
from hotswap_events.envelope import GENESIS, Envelope, Timestamp
from hotswap_events.log_stream import FindingAcknowledged, LogBegun
from hotswap_events.webhooks import WebhookRemoved, WebhookSet


class Acknowledgement(Struct, frozen=True, gc=False):
    """Who knows of a finding since when, and what they say of it."""

    finding: FindingAcknowledged
    actor: str
    reason: str | None
    at: Timestamp


class SetWebhook(Struct, frozen=True, gc=False):
    """A webhook that was set by an event, and who did so."""

    data: WebhookSet
    actor: str
    reason: str | None
    at: Timestamp
    since_offset: int
    """Offset of the event that set it first, after it was removed last: its place in the log begins there."""


class LogStream(Struct):
    """The log's own events, folded: every event that extends the head counts.

    What this release does not know, or what is no event of the log, has no effect.
    """

    sequence: int = 0
    head_digest: str = GENESIS
    offset: int = -1
    """Offset of the last event that counts."""
    begun: LogBegun | None = None
    acknowledged: dict[tuple[int, str | None], Acknowledgement] = field(default_factory=dict)
    """By offset and digest of the record."""
    webhooks: dict[str, SetWebhook] = field(default_factory=dict)
    """By name."""

    def extend(self, event: Envelope | UnknownEvent, *, digest: str, offset: int) -> None:
        """Take in the next event. The caller has checked `sequence` and `previous`."""
        self.sequence, self.head_digest, self.offset = self.sequence + 1, digest, offset
        if isinstance(event, UnknownEvent):
            return
        data = event.data
        if isinstance(data, LogBegun) and self.sequence == 1:
            self.begun = data
        elif isinstance(data, FindingAcknowledged):
            known = Acknowledgement(data, event.actor, event.reason, event.time)
            self.acknowledged.setdefault((data.offset, data.digest), known)
        elif isinstance(data, WebhookSet):
            before = self.webhooks.get(data.name)
            since = offset if before is None else before.since_offset
            self.webhooks[data.name] = SetWebhook(data, event.actor, event.reason, event.time, since)
        elif isinstance(data, WebhookRemoved):
            self.webhooks.pop(data.name, None)
