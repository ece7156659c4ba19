"""Answers into their topic, one record batch a partition, and copies of what went wrong into the dead letters."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from hotswap_events import headers as header_names
from hotswap_stream.workers.inference.answers import Answer

DEAD_LETTER_BYTES_MAX = 900_000
"""Larger requests are cut in the dead letters; the original stays in its topic, named by partition and offset."""


class AnswerSender:
    """Sends through a started producer."""

    def __init__(self, producer: AIOKafkaProducer, response_topic: str, dead_letter_topic: str) -> None:
        self._producer = producer
        self._response_topic = response_topic
        self._dead_letter_topic = dead_letter_topic

    async def send(self, answers: Sequence[Answer]) -> None:
        """Return when all are in the topic. Dead letters go first, so that none is missing for an answer that is there.

        A KafkaError means that neither is certain: what is there is seen in the topic.
        """
        producer = self._producer
        sent = [await self._send_dead_letter(answer) for answer in answers if answer.dead_letter_cause]
        await asyncio.gather(*sent)
        by_partition: dict[int, list[Answer]] = {}
        for answer in answers:
            by_partition.setdefault(answer.record.partition, []).append(answer)
        sent = []
        for partition, partition_answers in by_partition.items():
            batch = producer.create_batch()
            for answer in partition_answers:
                record = {"key": answer.record.key, "value": answer.value, "headers": answer.headers}
                if batch.append(**record, timestamp=None) is None:
                    batch.close()
                    sent.append(await producer.send_batch(batch, self._response_topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(**record, timestamp=None)
            batch.close()
            sent.append(await producer.send_batch(batch, self._response_topic, partition=partition))
        await asyncio.gather(*sent)

    async def _send_dead_letter(self, answer: Answer) -> "asyncio.Future[Any]":
        record = answer.record
        # Not every record has a value or a key, and a dead letter must have one of them to be sent at all.
        value = b"" if record.value is None else record.value[:DEAD_LETTER_BYTES_MAX]
        cause = (answer.dead_letter_cause or "").encode()
        sent: asyncio.Future[Any] = await self._producer.send(
            self._dead_letter_topic,
            key=record.key,
            value=value,
            headers=[
                *[header for header in record.headers if header[0] == header_names.CONTENT_TYPE],
                (header_names.DEAD_LETTER_CAUSE, cause),
                (header_names.ORIGIN_TOPIC, record.topic.encode()),
                (header_names.ORIGIN_PARTITION, b"%d" % record.partition),
                (header_names.ORIGIN_OFFSET, b"%d" % record.offset),
                (header_names.ORIGIN_TIMESTAMP_MS, b"%d" % record.timestamp),
            ],
        )
        return sent
