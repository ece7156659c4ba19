"""What a callback of the Kafka client raises is heard of behind the call, not in it."""

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hotswap_stream.kafka.callbacks import CallbackErrors


def test_an_error_is_raised_once_behind_the_call() -> None:
    errors = CallbackErrors()
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0})

    def failing(_consumer: Consumer, partitions: list[TopicPartition]) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{len(partitions)} partitions"))

    guarded = errors.guarded(failing)
    errors.check()
    guarded(consumer, [TopicPartition("t", 0)])
    guarded(consumer, [])
    with pytest.raises(KafkaException, match="1 partitions"):
        errors.check()
    errors.check()
    consumer.close()
