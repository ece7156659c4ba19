"""A budget of disk space for the topics that grow with traffic, shared out among their partitions.

Kafka limits a partition, not a disk, and how many partitions there are changes with the models. So the shares are
worked out again and again from what lies in the data folder, and set as settings of the topics: `retention.bytes`, and
`segment.bytes`.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct

from hotswap_stream.broker.broker_probe import set_topic_configs
from hotswap_stream.broker.disk import human_bytes
from hotswap_stream.broker.embedded import EmbeddedKafka

_log = structlog.get_logger(__name__)

TRAFFIC_SHARE = 0.9
"""Share of the budget for requests and answers; the rest is for all other topics that are limited."""
SEGMENT_BYTES_MAX = 1024**3
"""What Kafka takes where nothing is set."""
SEGMENTS_A_SHARE = 4
"""Kafka deletes whole files, never the one it writes to."""
LOOK_SECONDS = 5.0
_ASK_TIMEOUT_S = 5.0
_PARTITION_FOLDER = re.compile(r"(.+)-(\d+)")

Kind = Literal["traffic", "record"]


class Limited(Struct, frozen=True):
    """Why a topic is limited, and how long the longest record is that it must still be able to take."""

    kind: Kind
    message_bytes_max: int


class Share(Struct, frozen=True):
    """What a partition may keep: never much more than `retention_bytes` and one file of `segment_bytes`."""

    retention_bytes: int
    segment_bytes: int

    @property
    def config(self) -> dict[str, str]:
        """Return the settings of a topic whose partitions have this share."""
        return {"retention.bytes": str(self.retention_bytes), "segment.bytes": str(self.segment_bytes)}


UNLIMITED = Share(-1, SEGMENT_BYTES_MAX)


def share_out(
    budget_bytes: int, partitions: Mapping[str, int], limited: Callable[[str], Limited | None]
) -> dict[str, Share]:
    """Share the budget out among the partitions of limited topics. A budget of 0 limits nothing.

    Args:
        budget_bytes: Bytes for all of them together.
        partitions: Topic → number of partitions, replicas included.
        limited: Says whether, and how, a topic is limited.

    Returns:
        Topic → the share of each of its partitions, for limited topics only.
    """
    kinds = {topic: found for topic in partitions if (found := limited(topic)) is not None}
    if not budget_bytes:
        return dict.fromkeys(kinds, UNLIMITED)
    counts: Counter[Kind] = Counter()
    for topic, found in kinds.items():
        counts[found.kind] += partitions[topic]
    parts: dict[Kind, float] = {"traffic": budget_bytes * TRAFFIC_SHARE, "record": budget_bytes * (1 - TRAFFIC_SHARE)}
    return {topic: _share(int(parts[found.kind] / counts[found.kind]), found) for topic, found in kinds.items()}


def _share(bytes_max: int, limited: Limited) -> Share:
    # A batch that is longer than a file would be refused, and its producer told that it is too large.
    shortest = limited.message_bytes_max + limited.message_bytes_max // 8
    segment_bytes = min(max(bytes_max // SEGMENTS_A_SHARE, shortest), SEGMENT_BYTES_MAX)
    return Share(max(bytes_max - segment_bytes, segment_bytes), segment_bytes)


def partitions_in(data_dirs: Iterable[Path]) -> Counter[str]:
    """Count the partitions that lie in the data folders, each replica of its own. Topic → count."""
    found: Counter[str] = Counter()
    for data_dir in data_dirs:
        for entry in data_dir.iterdir():
            match = _PARTITION_FOLDER.fullmatch(entry.name)
            if match is not None and entry.is_dir():
                found[match[1]] += 1
    return found


def kept_bytes(data_dirs: Iterable[Path]) -> int:
    """Return the bytes of all files in the data folders, as `ls` counts them."""
    total = 0
    for data_dir in data_dirs:
        for path in data_dir.glob("*/*.log"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # let go meanwhile
                continue
    return total


class DiskBudget:
    """Keeps the limits of the topics of one embedded cluster in step with the budget."""

    def __init__(self, kafka: EmbeddedKafka, budget_bytes: int, limited: Callable[[str], Limited | None]) -> None:
        self._kafka = kafka
        self._budget_bytes = budget_bytes
        self._limited = limited
        self._set: dict[str, Share] = {}
        self._told_too_small = False

    @property
    def limited_topics(self) -> frozenset[str]:
        """Return the topics whose limits are set."""
        return frozenset(self._set)

    def room_missing(self, free_bytes: int) -> str:
        """Return what to say when the disk cannot hold the budget; empty when it can."""
        missing = self._budget_bytes - kept_bytes(self._kafka.data_dirs) - free_bytes
        if missing <= 0:
            return ""
        return (
            f"the broker may keep {human_bytes(self._budget_bytes)} (HOTSWAP_BROKER_DISK_BYTES_MAX), but the disk of "
            f"{self._kafka.folder} has only {human_bytes(free_bytes)} free; lower it, or make room"
        )

    async def run(self) -> None:
        """Keep the limits in step with the budget until cancelled."""
        while True:
            await self.apply()
            await asyncio.sleep(LOOK_SECONDS)

    async def apply(self) -> None:
        """Set the limits that are not set yet. Those that cannot be set now are set at the next look."""
        try:
            partitions = await asyncio.to_thread(partitions_in, self._kafka.data_dirs)
        except OSError as error:
            _log.warning("broker_data_unreadable", error=str(error))
            return
        shares = share_out(self._budget_bytes, partitions, self._limited)
        self._check(shares, partitions)
        wanted = {topic: share.config for topic, share in shares.items() if self._set.get(topic) != share}
        node = next((node for node in self._kafka.nodes if node.pid is not None), None)
        if not wanted or node is None:
            return
        done = await set_topic_configs(node.port, wanted, _ASK_TIMEOUT_S)
        for topic in done:
            self._set[topic] = shares[topic]
            _log.info("topic_limited", topic=topic, **wanted[topic])

    def _check(self, shares: Mapping[str, Share], partitions: Mapping[str, int]) -> None:
        least = sum(
            partitions[topic] * (share.retention_bytes + share.segment_bytes)
            for topic, share in shares.items()
            if share is not UNLIMITED
        )
        if least > self._budget_bytes * 1.01 and self._budget_bytes and not self._told_too_small:
            self._told_too_small = True
            _log.warning(
                "broker_disk_budget_too_small",
                budget_bytes=self._budget_bytes,
                needed_bytes=least,
                advice="raise HOTSWAP_BROKER_DISK_BYTES_MAX, or lower HOTSWAP_REQUEST_PARTITIONS for new models",
            )
