"""The fold of the registry log: which events count, and what the state of every model is after them.

Every reader runs this same code over the same order, so all agree which events are void without talking to each other.
"""

from typing import Literal

from msgspec import Struct, field

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent, digest_of
from hotswap_events.envelope import COMMAND_DIGEST_CHARACTERS, GENESIS, Envelope, EnvelopeHeader
from hotswap_events.log_stream import LOG_STREAM
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.log.stream import LogStream
from hotswap_stream.domain.evolve import IllegalEventError, evolve_in_place, evolve_unknown_in_place
from hotswap_stream.domain.serving.request_plan import plain_plan, request_plan
from hotswap_stream.domain.state.circuits import UNTOUCHED
from hotswap_stream.domain.state.model import ModelState


class Stream(Struct, gc=False):
    """One model's stream as far as it was folded."""

    state: ModelState
    head_digest: str = GENESIS
    """SHA-256 of the value bytes of the last event that counts."""
    offset: int = -1
    """Offset of the last event that counts."""
    active_offset: int = -1
    """Offset of the event that chose the active version."""
    changed_timestamp_ms: int = 0
    route_offset: int = -1
    """Offset of the event that last changed where requests go: `active_offset`, unless a circuit, the off switch or a
    rollout did later. The registry offset every answer names: the `request_plan` of the state at this offset says which
    versions may answer."""
    command_digests: dict[str, str] = field(default_factory=dict)
    """Id of a command → digest of what it asked for, where its events say it."""


class Applied(Struct, frozen=True, gc=False):
    """The record counts."""

    event: Envelope


class AppliedUnknown(Struct, frozen=True, gc=False):
    """The record counts, but only a newer release knows what it means."""

    event: UnknownEvent


class AppliedToLog(Struct, frozen=True, gc=False):
    """The record counts, in the log's own stream: it is about no model."""

    event: Envelope | UnknownEvent


class Void(Struct, frozen=True, gc=False):
    """The record does not count, for every reader."""

    reason: str
    command_id: str | None = None
    kind: Literal["conflict", "unreadable", "contradiction"] = "conflict"
    """`conflict`: it does not extend its stream's head, as when another writer came first: part of daily life."""


Outcome = Applied | AppliedUnknown | AppliedToLog | Void

_decode = REGISTRY_CODEC.decode


class RegistryFold:
    """State of all models after the records applied so far. Feed it records in offset order, each once."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        """By model name."""
        self.log = LogStream()
        self.next_offset = 0
        """The offset the next record must have or exceed."""
        self.applied_count = 0
        self.void_count = 0

    def state(self, model_name: str) -> ModelState:
        """Return one model's state, owned by this fold: read it, or `copy` it. Empty (sequence 0) without events."""
        stream = self.streams.get(model_name)
        return ModelState(model_name) if stream is None else stream.state

    def pass_over(self, next_offset: int) -> None:
        """Take in that the log was read up to this offset: what was not applied before it holds no record."""
        self.next_offset = max(self.next_offset, next_offset)

    def apply(self, record: LogRecord) -> Outcome:
        """Fold one record and return whether it counts.

        Raises:
            ValueError: The record comes out of order.
        """
        offset = record.offset
        if offset < self.next_offset:
            raise ValueError(f"record {offset} was folded before; the next one is {self.next_offset}")
        self.next_offset = offset + 1
        value = record.value
        event = _decode(value)
        # `type(…) is` where isinstance would do: asked of a Struct class that is a tenth of the fold's time
        if type(event) is UnreadableEvent:
            return self._void(Void(event.cause, None, "unreadable"))
        header = event.header if type(event) is UnknownEvent else event
        subject = header.subject
        if subject == LOG_STREAM:
            return self._apply_to_log(record, event, header)
        stream = self.streams.get(subject)
        if stream is None:
            stream = Stream(ModelState(subject))
        state = stream.state
        sequence = header.sequence
        if sequence != state.sequence + 1 or header.previous != stream.head_digest:
            return self._void(Void(_why_void(subject, state.sequence, sequence), header.causationid))
        active_before = state.active_version
        # Where no circuit ever moved and no rollout is on, the active version answers: no need to ask, event for event.
        plan_before = None if _plain(state) else request_plan(state)
        outcome: Outcome
        if type(event) is UnknownEvent:
            ignorable = header.ignorable is True
            evolve_unknown_in_place(state, event.header.type, sequence, header.causationid, ignorable=ignorable)
            outcome = AppliedUnknown(event)
        else:
            try:
                evolve_in_place(state, event)
            except IllegalEventError as error:
                return self._void(Void(f"contradicts the state: {error}", header.causationid, "contradiction"))
            outcome = Applied(event)
        if sequence == 1:
            self.streams[subject] = stream
        stream.head_digest = digest_of(value)  # type: ignore[arg-type]  # None was unreadable above
        stream.offset = offset
        stream.changed_timestamp_ms = record.timestamp_ms
        if state.active_version is not active_before:
            stream.active_offset = offset
        if plan_before is None and _plain(state):
            # Not `active_offset`: a rollout that ended chose later than the promotion did.
            if state.active_version is not active_before:
                stream.route_offset = offset
        elif request_plan(state) != (plan_before or plain_plan(active_before)):
            stream.route_offset = offset
        digest = header.commanddigest
        if type(digest) is str and len(digest) == COMMAND_DIGEST_CHARACTERS:
            stream.command_digests.setdefault(header.causationid, digest)
        self.applied_count += 1
        return outcome

    def _apply_to_log(
        self, record: LogRecord, event: Envelope | UnknownEvent, header: Envelope | EnvelopeHeader
    ) -> Outcome:
        log = self.log
        if header.sequence != log.sequence + 1 or header.previous != log.head_digest:
            return self._void(Void(_why_void(LOG_STREAM, log.sequence, header.sequence), header.causationid))
        log.extend(event, digest=digest_of(record.value or b""), offset=record.offset)
        self.applied_count += 1
        return AppliedToLog(event)

    def _void(self, void: Void) -> Void:
        self.void_count += 1
        return void


def _plain(state: ModelState) -> bool:
    return state.serving is UNTOUCHED and state.rollout is None


def _why_void(subject: str, at: int, sequence: int) -> str:
    if sequence != at + 1:
        return f"sequence {sequence} does not extend {subject!r}, which is at {at}"
    return f"previous is not the digest of event {at} of {subject!r}"
