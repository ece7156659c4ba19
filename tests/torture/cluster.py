"""The brokers of a run: one node at a time is ended and comes back, and all copies are complete before the next."""

import asyncio
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hotswap_stream.broker import EmbeddedKafka
from tests.torture.full_disk import END_SECONDS_MAX, fill
from tests.torture.plan import BrokerFault
from tests.torture.topic_reading import LOG_LEVEL

IN_SYNC_SECONDS_MAX = 90.0
_ASK_SECONDS_MAX = 5.0
_POLL_SECONDS = 0.1


class NotInSyncError(RuntimeError):
    """A partition lacked a copy for too long."""


class DiskNotHeededError(RuntimeError):
    """A broker whose disk takes nothing went on as if it did."""


class Cluster:
    """Faults of brokers."""

    def __init__(self, kafka: EmbeddedKafka, registry_topic: str) -> None:
        self.down: set[int] = set()
        """Ids of the nodes that do not run."""
        self._kafka = kafka
        self._registry = registry_topic
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": LOG_LEVEL})

    async def restart(self, fault: BrokerFault) -> None:
        """End one node, start it again, return when every partition has all its copies. NotInSyncError,
        DiskNotHeededError."""
        place = fault.node
        if fault.kind == "registry-leader":
            place = await asyncio.to_thread(self._leader_of_registry)
        node = self._kafka.nodes[place]
        self.down.add(node.node_id)
        if fault.kind == "disk-full":
            if not await fill(node):
                raise DiskNotHeededError(f"node {place} could write nothing for {END_SECONDS_MAX:g} s and went on")
        elif fault.kind == "broker-kill":
            await node.kill()
        else:
            await node.stop()
        if fault.kind in ("disk-full", "broker-kill"):
            await node.withdraw()  # as the embedded broker's keeper does, which runs under `hotswap-stream broker`
        await asyncio.sleep(fault.seconds)
        await node.start()
        self.down.discard(node.node_id)
        await self.wait_in_sync()

    async def wait_in_sync(self) -> None:
        """Until every replica of every partition is in sync. NotInSyncError."""
        deadline = time.monotonic() + IN_SYNC_SECONDS_MAX
        while lagging := await asyncio.to_thread(self._out_of_sync):
            if time.monotonic() > deadline:
                raise NotInSyncError(f"not in sync after {IN_SYNC_SECONDS_MAX} s: {', '.join(lagging)}")
            await asyncio.sleep(_POLL_SECONDS)

    def _leader_of_registry(self) -> int:
        """Its place among the nodes."""
        found = self._admin.list_topics(self._registry, timeout=_ASK_SECONDS_MAX).topics[self._registry]
        ids = [node.node_id for node in self._kafka.nodes]
        return ids.index(found.partitions[0].leader)

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
