"""From events to the bytes to append: each in its envelope, chained to the one before it."""

from collections.abc import Iterable

from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_stream.application.clock import Clock, Ids


class EventWriter:
    """Writes as one process. `source` names it in every event."""

    def __init__(self, *, clock: Clock, ids: Ids, source: str) -> None:
        self._clock = clock
        self._ids = ids
        self._source = source

    def values(
        self,
        subject: str,
        events: Iterable[Struct],
        *,
        sequence: int,
        previous: str,
        actor: str,
        command_id: str,
        reason: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
        actor_by: str | None = None,
        command_digest: str | None = None,
    ) -> list[bytes]:
        """Encode events that extend a stream, which stands at `sequence` with the head digest `previous`."""
        now, values = self._clock.now(), list[bytes]()
        for data in events:
            sequence += 1
            value = REGISTRY_CODEC.encode(
                REGISTRY_CODEC.envelope(
                    data,
                    id=self._ids.new_id(),
                    source=self._source,
                    subject=subject,
                    time=now,
                    sequence=sequence,
                    previous=previous,
                    actor=actor,
                    reason=reason,
                    causationid=command_id,
                    correlationid=correlation_id or command_id,
                    traceparent=traceparent,
                    actorby=actor_by,
                    commanddigest=command_digest,
                )
            )
            previous = digest_of(value)
            values.append(value)
        return values
