"""What becomes of a registry topic in the hands of others: deleted, made again, restored from an old copy, beheaded."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from hotswap_stream.application.log.port import LogRecord

SECONDS_MAX = 60.0


class LogTopic:
    """The registry topic of one environment, and what somebody with rights on the cluster can do to it."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.name = f"{prefix}.registry"
        self._servers = servers

    async def exists(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            return self.name in await admin.list_topics()
        finally:
            await admin.close()

    async def delete(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            await admin.delete_topics([self.name])
            async with asyncio.timeout(SECONDS_MAX):
                while self.name in await admin.list_topics():
                    await asyncio.sleep(0.05)
        finally:
            await admin.close()

    async def create(self) -> None:
        config = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while True:
                    made = await admin.create_topics([NewTopic(self.name, 1, 1, topic_configs=config)])
                    if all(error[1] == 0 for error in made.topic_errors):
                        return
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()

    async def behead(self, before_offset: int) -> None:
        """Delete the records before an offset."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(self.name, 0): RecordsToDelete(before_offset)})
        finally:
            await admin.close()

    async def records(self) -> list[LogRecord]:
        partition = TopicPartition(self.name, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._servers, group_id=None, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            found: list[LogRecord] = []
            while len(found) < end:
                record = await consumer.getone()
                found.append(LogRecord(record.offset, record.timestamp, record.key, record.value))
            return found
        finally:
            await consumer.stop()

    async def append(self, records: Sequence[LogRecord]) -> None:
        """Records as they are, one after the other."""
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all")
        await producer.start()
        try:
            async with asyncio.timeout(SECONDS_MAX):
                for record in records:
                    await producer.send_and_wait(self.name, record.value, record.key, partition=0)
        finally:
            await producer.stop()

    async def replace(self, records: Sequence[LogRecord] = ()) -> None:
        """Delete it, and make it again with these records."""
        await self.delete()
        await self.create()
        await self.append(records)
