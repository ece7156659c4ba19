"""librdkafka clients of the hot loop: their settings in one place."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Producer
from msgspec import Struct

from hotswap_stream.workers.inference.requests.requests import KEY_BYTES_MAX

_log = structlog.get_logger(__name__)

SESSION_TIMEOUT_MS = 10_000
FETCH_BYTES_MAX = 50 * 1024**2
PREFETCH_KILOBYTES_MAX = 32 * 1024
"""Requests of one partition read ahead; a partition that has as many is not fetched from until some are answered."""


BULK_LINGER_MS = 1.0
WAIT_MS_MAX = 10_000.0


class Batching(Struct, frozen=True):
    """How one model's requests are gathered into batches; may change while they are."""

    size_max: int
    wait_ms_max: float


class LoopLimits(Struct, frozen=True, kw_only=True):
    """Limits of one model's loop."""

    batch_size_max: int = 128
    batch_wait_ms_max: float = 0.0
    """How long a batch that is not full waits for more requests. 0: it takes what is there."""
    request_bytes_max: int = 4 * 1024**2
    response_bytes_max: int = 8 * 1024**2
    answers_in_flight_max: int = 10_000
    """Answers handed to the Kafka client and not yet acknowledged; at so many, no more requests are taken."""
    answer_key_bytes_max: int = KEY_BYTES_MAX
    """An answer carries its request's key; a request with a longer one is refused, without it."""
    request_id_window: int = 10_000
    """Requests of a partition among which an id may stand once only; 0: ids may repeat."""

    def batching(self, size_max: int | None = None, wait_ms_max: float | None = None) -> Batching:
        """As a model's policy wants it, within these limits; None: as these limits say."""
        # By the rules a policy is in bounds; an event that somebody wrote by hand may say anything.
        return Batching(
            max(1, min(size_max or self.batch_size_max, self.batch_size_max)),
            self.batch_wait_ms_max if wait_ms_max is None else min(WAIT_MS_MAX, max(0.0, wait_ms_max)),
        )

    window_keys_max: int = 10_000
    """Series of a partition whose windows are kept; of more, those that brought steps longest ago make room."""


_ALWAYS = {
    # A topic that is asked for and not there is an error, not a new topic with the broker's settings: the broker makes
    # one for a producer that does not say so.
    "allow.auto.create.topics": False,
}
_READING = {**_ALWAYS, "isolation.level": "read_committed"}


def request_consumer(
    options: Mapping[str, Any], *, group: str, worker: str, limits: LoopLimits, on_error: Callable[[KafkaError], None]
) -> Consumer:
    """A consumer of one model's requests, a static member of the model's group."""
    return Consumer(
        {
            **options,
            **_READING,
            "group.id": group,
            "group.instance.id": worker,
            "client.id": worker,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": 1_000,
            "partition.assignment.strategy": "range",
            "topic.metadata.refresh.interval.ms": 30_000,
            # A partition whose prefetch is full is looked at again after this long, not after the default second
            "fetch.queue.backoff.ms": 5,
            "queued.max.messages.kbytes": max(PREFETCH_KILOBYTES_MAX, 2 * limits.request_bytes_max // 1024),
            "fetch.message.max.bytes": max(1024**2, limits.request_bytes_max),
            "fetch.max.bytes": max(FETCH_BYTES_MAX, 4 * limits.request_bytes_max),
            "receive.message.max.bytes": 2 * max(FETCH_BYTES_MAX, 4 * limits.request_bytes_max),
            "error_cb": on_error,
        },
        logger=_logger(),
    )


def tail_consumer(options: Mapping[str, Any], worker: str) -> Consumer:
    """A consumer outside any group that says where a partition ends."""
    return Consumer(
        {
            **options,
            **_READING,
            "group.id": f"{worker}-tail",  # librdkafka wants one; nothing is committed to it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        },
        logger=_logger(),
    )


def answer_producer(
    options: Mapping[str, Any],
    *,
    worker: str,
    limits: LoopLimits,
    linger_ms: float,
    on_error: Callable[[KafkaError], None],
) -> Producer:
    """An idempotent producer: what it wrote stands in the order it was given, each once."""
    return Producer(
        {
            **options,
            **_ALWAYS,
            "client.id": worker,
            "acks": "all",
            "enable.idempotence": True,
            # A failure in the middle must end the producer, not leave a gap that later answers hide.
            "enable.gapless.guarantee": True,
            "linger.ms": linger_ms,
            # Nor may one time out while a later one is written; `AnswerSender` gives up on all of them together.
            "message.timeout.ms": 0,
            "message.max.bytes": limits.response_bytes_max,
            "queue.buffering.max.messages": 10 * limits.answers_in_flight_max,
            "queue.buffering.max.kbytes": max(256 * 1024, 4 * limits.response_bytes_max // 1024),
            "error_cb": on_error,
        },
        logger=_logger(),
    )


def dead_letter_producer(options: Mapping[str, Any], *, worker: str) -> Producer:
    """A producer for copies of requests that went wrong. A copy that is refused ends nothing."""
    return Producer(
        {
            **options,
            "client.id": f"{worker}-dead-letters",
            "acks": "all",
            "enable.idempotence": True,
            "allow.auto.create.topics": False,
            "linger.ms": 0,
            "message.timeout.ms": 0,  # `DeadLetterSender` gives up on all of them together
        },
        logger=_logger(),
    )


def reply_producer(options: Mapping[str, Any], *, worker: str, limits: LoopLimits) -> Producer:
    """A producer for copies to topics of others' choice, whose failures concern nobody else."""
    return Producer(
        {
            **options,
            **_ALWAYS,
            "client.id": f"{worker}-replies",
            "acks": "all",
            "linger.ms": 0,
            "message.timeout.ms": 10_000,
            "message.max.bytes": limits.response_bytes_max,
            "queue.buffering.max.messages": limits.answers_in_flight_max,
        },
        logger=_logger(),
    )


class _ToStructlog(logging.Handler):
    """librdkafka's own log lines, as part of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        # Remarks on the configuration come with each client, and ours is what we mean.
        _log.log(logging.DEBUG if "CONFWARN" in message else record.levelno, "librdkafka", message=message)


def _logger() -> logging.Logger:
    logger = logging.getLogger("hotswap_stream.librdkafka")
    if not logger.handlers:
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        logger.addHandler(_ToStructlog())
    return logger
