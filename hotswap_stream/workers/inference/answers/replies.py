"""Copies of answers to the topic a request names, as Spring's ReplyingKafkaTemplate expects them.

A copy names no request and carries no tag: it is no answer, wherever it lands.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hotswap_events import headers as header_names
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.kafka.librdkafka import close_producer
from hotswap_stream.workers.inference.answers.writer import Answer
from hotswap_stream.workers.inference.kafka_clients import reply_producer
from hotswap_stream.workers.inference.limits import LoopLimits

_log = structlog.get_logger(__name__)

_OF_ANSWERS_ALONE = (header_names.REQUEST_OFFSET, header_names.ANSWER_TAG)


class ReplySender:
    """Send copies, best effort: one that cannot be sent is logged, the answer itself is in the model's topic."""

    def __init__(self, options: Mapping[str, Any], *, worker: str, allowed: ReplyTopics, limits: LoopLimits) -> None:
        self.refused = 0
        """Copies that were asked for and may not be sent."""
        self._options = options
        self._worker = worker
        self._allowed = allowed
        self._limits = limits
        self._producer: Producer | None = None

    def send(self, answer: Answer) -> None:
        """Hand one copy over."""
        reply_to = answer.reply_to
        if reply_to is None:
            return
        if why := self._allowed.refusal(reply_to.topic):
            if not self.refused:
                _log.warning("reply_refused", topic=reply_to.topic, reason=why)
            self.refused += 1
            return
        if self._producer is None:
            self._producer = reply_producer(self._options, worker=self._worker, limits=self._limits)
        where: dict[str, Any] = {} if reply_to.partition is None else {"partition": reply_to.partition}
        try:
            self._producer.produce(
                reply_to.topic,
                answer.value,
                answer.record.key,
                headers=[header for header in answer.headers if header[0] not in _OF_ANSWERS_ALONE],
                on_delivery=self._delivered,
                **where,
            )
        except (BufferError, KafkaException) as error:
            _log.warning("reply_not_sent", topic=reply_to.topic, error=str(error))
        self._producer.poll(0)

    def poll(self) -> None:
        """Take in acknowledgements."""
        if self._producer is not None:
            self._producer.poll(0)

    def close(self) -> None:
        """Send what is left, for a moment."""
        if self._producer is not None:
            self._producer.flush(2.0)
            close_producer(self._producer)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            _log.warning("reply_not_sent", topic=message.topic(), error=str(error))
