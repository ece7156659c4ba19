"""The log's own stream: what is said of the log itself, not of a model.

Its subject and record key are `$log`, which no model can be called. It is chained like every stream, so a second
beginning is void by the same rule as any event that came second.
"""

from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.webhooks import WEBHOOK_EVENT_TYPES, WebhookEvent

LOG_STREAM = "$log"
"""Subject of the events here; a record's key is the same in UTF-8."""

LOG_ID_CHARACTERS_MAX = 128
DETAIL_CHARACTERS_MAX = 2_000


class LogBegun(Struct, frozen=True, kw_only=True, gc=False):
    """The log begins: written as its first record, so that an empty log that takes its place is told from it.

    A log that was begun by an older release has none.
    """

    log_id: Annotated[str, Meta(max_length=LOG_ID_CHARACTERS_MAX)]
    """Random."""


class FindingAcknowledged(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A person knows what an audit found at one place of the log, and has it told without failing from here on."""

    offset: Annotated[int, Meta(ge=0)]
    """Where the finding is."""
    digest: str | None = None
    """SHA-256 of the value bytes of the record there, hex: another record in its place is not acknowledged. Absent: no
    record is there, or it has no value."""
    damage: str
    """What the audit called it."""
    detail: Annotated[str, Meta(max_length=DETAIL_CHARACTERS_MAX)]
    """What it said."""


LogEvent = LogBegun | FindingAcknowledged | WebhookEvent

LOG_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.log.begun.v1": LogBegun,
    "hotswap.log.finding-acknowledged.v1": FindingAcknowledged,
    **WEBHOOK_EVENT_TYPES,
}
