"""The brokers of a run: one node at a time is ended and comes back, and all copies are complete before the next."""

import asyncio
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hotswap_stream.broker import EmbeddedKafka
from tests.torture.plan import BrokerFault
from tests.torture.topic_reading import LOG_LEVEL

IN_SYNC_SECONDS_MAX = 90.0
_ASK_SECONDS_MAX = 5.0
_POLL_SECONDS = 0.1


class NotInSyncError(RuntimeError):
    """A partition lacked a copy for too long."""


class Cluster:
    """Faults of brokers."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self._kafka = kafka
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": LOG_LEVEL})

    async def restart(self, fault: BrokerFault) -> None:
        """End one node, start it again, return when every partition has all its copies. NotInSyncError."""
        node = self._kafka.nodes[fault.node]
        await (node.stop() if fault.kind == "broker-stop" else node.kill())
        await asyncio.sleep(fault.seconds)
        await node.start()
        await self.wait_in_sync()

    async def wait_in_sync(self) -> None:
        """Until every replica of every partition is in sync. NotInSyncError."""
        deadline = time.monotonic() + IN_SYNC_SECONDS_MAX
        while lagging := await asyncio.to_thread(self._out_of_sync):
            if time.monotonic() > deadline:
                raise NotInSyncError(f"not in sync after {IN_SYNC_SECONDS_MAX} s: {', '.join(lagging)}")
            await asyncio.sleep(_POLL_SECONDS)

    def _out_of_sync(self) -> list[str]:
        try:
            metadata = self._admin.list_topics(timeout=_ASK_SECONDS_MAX)
        except KafkaException as error:
            return [str(error)]
        return [
            f"{name} {partition.id}"
            for name, topic in metadata.topics.items()
            for partition in topic.partitions.values()
            if partition.leader < 0 or len(partition.isrs) < len(partition.replicas)
        ]
