"""What is done with each record of `hotswap.registry`: the model's readable state is published, once per change.

The log is the truth and the process folds it anyway, so the table does not hold a second copy of the state (a model
with thousands of versions would not fit into one changelog record, and each event would write all of it again). It
holds, per model, the head of the stream that the published state reflects. That makes the agent idempotent: a record
that was handled before, a void one, and one that a later record overtook find their head published and change nothing.
"""

from collections.abc import Awaitable, Callable, MutableMapping

import msgspec
import structlog
from msgspec import Struct

from hotswap_events import headers
from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent
from hotswap_events.dataset import RequestRetention, RequestRetentionSet
from hotswap_events.envelope import Envelope
from hotswap_events.inference.messages import JSON_CONTENT_TYPE
from hotswap_events.log_stream import LOG_STREAM
from hotswap_events.topics import Topics
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.registry.view import encode_registry_state, registry_state
from hotswap_stream.application.topics.records import InboundRecord, OutboundRecord, Publisher
from hotswap_stream.domain.deciding.limits import wrong_model_name
from hotswap_stream.errors import ConfigurationError

_log = structlog.get_logger(__name__)

_encoder = msgspec.json.Encoder()


class StreamHead(Struct, frozen=True, kw_only=True, gc=False):
    """Value of the table: how far the published state of one model reflects its stream."""

    sequence: int
    offset: int
    digest: str
    """SHA-256 of the event's value bytes, hex."""


_head_decoder = msgspec.json.Decoder(StreamHead)


class RegistryAgent:
    """Publishes `RegistryState`s. `heads` is the table: model name → encoded `StreamHead`, bytes to bytes.

    `on_model_seen` is called before a model's first state is published, once per table entry: it may create the
    model's topics again, in case the process that wrote the first event died before it did. `on_retention` tells the
    topics how long the model's records are kept, whenever that was set.
    """

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        topics: Topics,
        heads: MutableMapping[bytes, bytes],
        *,
        on_model_seen: Callable[[str], Awaitable[None]] | None = None,
        on_retention: Callable[[str, RequestRetention], Awaitable[None]] | None = None,
        care: RecordCare | None = None,
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._topics = topics
        self._care = care or RecordCare(publisher, topics)
        self.handle = self._care.of(self._handle)
        """Return when the state topic reflects the record. A retriable HotswapError means: read it again."""
        self._heads = heads
        self._on_model_seen = on_model_seen
        self._on_retention = on_retention
        self.published_count = 0
        self.unreadable_count = 0

    async def _handle(self, record: InboundRecord) -> None:
        await self._registry.wait_for_offset(record.offset + 1)
        event = REGISTRY_CODEC.decode(record.value)
        model_name = self._model_name(event, record)
        if model_name is None:
            return
        stream = self._registry.stream(model_name)
        if stream is None:
            return
        if isinstance(event, Envelope) and isinstance(event.data, RequestRetentionSet):
            await self._keep(model_name, stream.state.request_retention)
        key = model_name.encode()
        head = self._head(key)
        if head is not None and head.offset > stream.offset:
            # Another process published further than this one has read; or the log was deleted and begun again.
            await self._registry.catch_up()
            stream = self._registry.stream(model_name) or stream
        if head == _head_of(stream):
            return
        if head is None and self._on_model_seen is not None:
            await self._see(model_name, self._on_model_seen)
        await self._publish(key, stream)

    async def _publish(self, key: bytes, stream: Stream) -> None:
        """The state and its head are taken in one step: the fold moves on while the record is on its way."""
        head = _head_of(stream)
        value = encode_registry_state(registry_state(stream))
        await self._publisher.publish(
            OutboundRecord(
                topic=self._topics.registry_state,
                key=key,
                value=value,
                headers=((headers.CONTENT_TYPE, JSON_CONTENT_TYPE.encode()),),
            )
        )
        self._heads[key] = _encoder.encode(head)
        seen = self._registry.seen_log
        if seen is not None:
            # For machines that remember nothing of the log: see `adapters/kafka/seen_log.py`.
            self._heads[LOG_STREAM.encode()] = _encoder.encode(seen)
        self.published_count += 1

    async def _keep(self, model_name: str, retention: RequestRetention | None) -> None:
        """Tell the topics what holds now, which may be more than this record says."""
        if retention is None or self._on_retention is None:
            return
        try:
            await self._on_retention(model_name, retention)
        except ConfigurationError as error:
            # Starting again would not help; `hotswap-stream topics` says what differs.
            _log.error("request_retention_not_set", model_name=model_name, cause=str(error))

    def _model_name(self, event: Envelope | UnknownEvent | UnreadableEvent, record: InboundRecord) -> str | None:
        """Return whose event it is; None for what is no event (void by rule) and for what is named unlike any model."""
        if isinstance(event, UnreadableEvent):
            self.unreadable_count += 1
            _log.warning("registry_record_unreadable", offset=record.offset, cause=event.cause[:1_000])
            return None
        subject = event.header.subject if isinstance(event, UnknownEvent) else event.subject
        if subject == LOG_STREAM:
            return None  # what the log says of itself is of no model
        if wrong := wrong_model_name(subject):
            _log.warning("registry_state_withheld", offset=record.offset, cause=wrong)
            return None
        return subject

    def _head(self, key: bytes) -> StreamHead | None:
        value = self._heads.get(key)
        if value is None:
            return None
        try:
            return _head_decoder.decode(value)
        except Exception as error:  # noqa: BLE001 - whatever was written there, the state is published again
            _log.warning("stream_head_unreadable", model_name=key.decode(), cause=str(error))
            return None

    async def _see(self, model_name: str, on_model_seen: Callable[[str], Awaitable[None]]) -> None:
        try:
            await on_model_seen(model_name)
        except ConfigurationError as error:
            # Starting again would not help, and the state is worth publishing all the same.
            _log.error("model_setup_failed", model_name=model_name, cause=str(error))


def _head_of(stream: Stream) -> StreamHead:
    return StreamHead(sequence=stream.state.sequence, offset=stream.offset, digest=stream.head_digest)
