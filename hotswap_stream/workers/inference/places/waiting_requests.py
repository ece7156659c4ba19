"""Whether requests really wait between a place and a partition's end: markers of transactions stand there, too."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from hotswap_stream.kafka.librdkafka import tail_consumer

ASK_SECONDS_MAX = 2.0


def nothing_waits(options: Mapping[str, Any], worker: str, topic: str, partition: int, place: int, end: int) -> bool:
    """Return whether there is no record for a worker from `place` on, up to `end`. Blocking, for a moment.

    False also where that cannot be known, and where an open transaction is in the way.
    """
    consumer = tail_consumer(options, f"{worker}-waiting")
    try:
        consumer.assign([TopicPartition(topic, partition, place)])
        message = consumer.poll(ASK_SECONDS_MAX)
        error = None if message is None else message.error()
        if message is None or error is None or error.code() != KafkaError._PARTITION_EOF:
            return False
        reached = message.offset()
        return reached is not None and reached >= end
    except KafkaException:
        return False
    finally:
        consumer.close()
