"""The envelope of every event in the log: CloudEvents 1.0, structured mode, plus the chain and causation fields.

CloudEvents: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
W3C Trace Context: https://www.w3.org/TR/trace-context/
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
"""Value of the `content-type` record header, as the CloudEvents Kafka binding asks for in structured mode."""

GENESIS = "0" * 64
"""`previous` of the first event of a stream. CloudEvents attributes may not be empty, hence zeros."""

Sha256Hex = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]
"""Not checked while decoding: a wrong value cannot equal the head's digest, so the event is void anyway."""

Ignorable = Annotated[Any, Meta(extra_json_schema={"type": "boolean"})]
"""`True` or anything else. Not checked while decoding: readers that do not know the attribute count such an event."""

ActorBy = Annotated[
    Any, Meta(extra_json_schema={"type": "string", "enum": ["key", "claim", "topic", "signature", "acl"]})
]
"""By which way the actor is known. Not checked while decoding, as of `Ignorable`."""

COMMAND_DIGEST_CHARACTERS = 32
CommandDigest = Annotated[Any, Meta(extra_json_schema={"type": "string", "pattern": "^[0-9a-f]{32}$"})]
"""Not checked while decoding, as of `Ignorable`."""

Sequence = Annotated[int, Meta(ge=1)]
Timestamp = Annotated[datetime, Meta(tz=True)]


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """One event as it is stored. Concrete classes (one a stored type name) are built by the codec and narrow `data`."""

    specversion: Literal["1.0"]
    id: str
    """Unique per event; a UUID."""
    source: str
    """Who wrote it: `/<topic prefix>/<process kind>`, a URI reference."""
    subject: str
    """The stream id: the model name."""
    time: Timestamp
    """When the writer decided it, RFC 3339, UTC. Kafka's append time, not this, orders the log."""
    datacontenttype: Literal["application/json"]
    sequence: Sequence
    """1, 2, 3 … within the stream."""
    previous: Sha256Hex
    """SHA-256 of the value bytes of the stream's former event, hex; `GENESIS` for the first."""
    actor: str
    """Who asked for it."""
    causationid: str
    """Id of the command that led to it. The same id never applies twice."""
    correlationid: str
    """Ties together everything that one outside cause led to."""
    data: Any
    reason: str | None = None
    traceparent: str | None = None
    ignorable: Ignorable = False
    """`true`: a reader that does not know the type loses nothing that a decision needs. Absent: it must understand it,
    and else decides nothing on this model but what is possible in every state."""
    actorby: ActorBy = None
    """How the actor is known: by an API `key`, by the `signature` of a webhook or of a command on the topic, by his own
    `claim` where no key is needed, as whoever sent a command to the `topic` says, or as somebody says who may write to
    a topic that access rules close (`acl`). Absent: it is what the writer to the log says, be it a part of the
    product or its command line."""
    commanddigest: CommandDigest = None
    """What the command asked for, as a digest: the same id for something else is refused. Absent: no id of somebody's
    choice led to it, or an older release wrote it."""


class EnvelopeHeader(Struct, frozen=True, kw_only=True, gc=False):
    """The envelope without its data: readable by every release, so that all releases agree which events are void."""

    specversion: Literal["1.0"]
    type: str
    id: str
    source: str
    subject: str
    time: Timestamp
    datacontenttype: Literal["application/json"]
    sequence: Sequence
    previous: Sha256Hex
    actor: str
    causationid: str
    correlationid: str
    reason: str | None = None
    traceparent: str | None = None
    ignorable: Ignorable = False
    actorby: ActorBy = None
    commanddigest: CommandDigest = None
