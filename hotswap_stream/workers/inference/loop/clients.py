"""The Kafka clients of one life of a model's loop."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from hotswap_stream.kafka.librdkafka import partition_count
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.replies import ReplySender
from hotswap_stream.workers.inference.answers.sender import AnswerSender
from hotswap_stream.workers.inference.answers.writer import AnswerWriter
from hotswap_stream.workers.inference.kafka_clients import (
    WAYS_MS,
    answer_producer,
    group_member,
    request_consumer,
)
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.spread_producer import SpreadProducer
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper


class LifeClients(Struct, frozen=True):
    """Requests in; answers, dead letters and copies for others out."""

    member: Consumer
    """The worker in the model's group: it is told partitions and commits, and reads nothing."""
    consumer: Consumer
    sender: AnswerSender
    letters: DeadLetterSender
    replies: ReplySender

    def close(self) -> None:
        """Disconnect. What is still queued is not sent: somebody else may have the partitions by then."""
        self.sender.close()
        self.letters.close()
        self.consumer.close()
        self.member.close()
        self.replies.close()


def open_clients(
    parts: LoopParts,
    stopping: threading.Event,
    windows: WindowKeeper,
    *,
    on_consumer_error: Callable[[KafkaError], None],
    on_answered: Callable[[int, int], None],
    on_commit: Callable[[KafkaError | None, list[TopicPartition]], None],
) -> LifeClients:
    """Connect. `windows` writes through the producer of the answers from here on."""
    config, limits = parts.config, parts.limits
    options, worker = config.librdkafka_options, config.worker
    member = group_member(options, group=parts.group, worker=worker, on_error=on_consumer_error, on_commit=on_commit)
    consumer = request_consumer(options, group=parts.group, worker=worker, limits=limits, on_error=on_consumer_error)
    letters = DeadLetterSender(options, worker=worker, topic=config.topics.dead_letters, stopping=stopping)
    replies = ReplySender(options, worker=worker, allowed=config.reply_topics, limits=limits)

    def on_producer_error(error: KafkaError) -> None:
        sender.notice(error)

    make = partial(answer_producer, options, worker=worker, limits=limits, on_error=on_producer_error)
    ways = [SpreadProducer(partial(make, linger_ms=linger_ms)) for linger_ms in WAYS_MS]
    sender = AnswerSender(
        ways,
        AnswerWriter(parts.model_name, worker, config.answer_tags.of(parts.model_name)),
        response_topic=parts.response_topic,
        letters=letters,
        limits=limits,
        stopping=stopping,
        on_answered=on_answered,
        send_reply=replies.send,
    )
    with suppress(KafkaException):  # then they are made when there is something to write
        numbers = range(partition_count(consumer, parts.request_topic))
        # Now, while the version is loaded: the client asks for a producer's id when it makes one, which is before it
        # has a connection, and again half a second later.
        for producer in ways:
            producer.reach(numbers)
    windows.begin(ways[0], sender.settle, sender.fail)
    return LifeClients(member, consumer, sender, letters, replies)
