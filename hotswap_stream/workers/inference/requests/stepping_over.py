"""Batches of a request partition that the client cannot read: answered by errors, as far as one can be given."""

from collections.abc import Collection, Mapping
from typing import Any

import structlog
from confluent_kafka import Message
from msgspec import Struct

from hotswap_stream.kafka.unreadable_batches import BatchPlace, find_batch
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Unreadable

_log = structlog.get_logger(__name__)

TRIES_MAX = 3
"""How often a batch is fetched before it is taken to be unreadable."""
ANSWERS_MAX = 10_000
"""Records of an unreadable batch that get an error answer; of more, the first ones and the last."""


class SteppedOver(Struct, frozen=True):
    """Where a partition goes on, and what stands for the records before it."""

    partition: int
    next_offset: int
    entries: list[Unreadable]


class UnreadablePartitions:
    """Hold what could not be read in the partitions that are assigned. `options`: settings of aiokafka's clients."""

    def __init__(self, options: Mapping[str, Any], model_name: str, request_topic: str) -> None:
        self._options = options
        self._model_name = model_name
        self._request_topic = request_topic
        self._tries: dict[int, tuple[int, int]] = {}
        """Partition → where something cannot be read, and how often that was tried."""
        self._left: dict[int, BatchPlace] = {}

    @property
    def blocked(self) -> Collection[int]:
        """Partitions that something unreadable keeps from moving."""
        return self._tries.keys()

    def clear(self, partitions: Collection[int] | None = None) -> None:
        """Forget partitions, or all: somebody else has them."""
        for partition in [*self._tries, *self._left] if partitions is None else partitions:
            self._tries.pop(partition, None)
            self._left.pop(partition, None)

    def step_over(self, message: Message, positions: Mapping[int, int]) -> SteppedOver | None:
        """Say what to go on with after an error of the consumer's.

        Args:
            message: The message with the error.
            positions: Partition → the next request to take.

        Returns:
            Where to go on, and what stands for the records before it; None: try once more.
        """
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is None or partition is None or partition not in positions:
            return None
        left = self._left.get(partition)
        if left is not None and offset is not None and left.first_offset <= offset <= left.last_offset:
            return None  # said before the seek
        wanted = max(positions[partition], 0 if offset is None else offset)
        at, tries = self._tries.get(partition, (-1, 0))
        self._tries[partition] = wanted, tries + 1 if at == wanted else 1
        if at != wanted:
            _log.warning(
                "batch_unreadable",
                model_name=self._model_name,
                partition=partition,
                offset=wanted,
                error=error.str(),
            )
        if self._tries[partition][1] < TRIES_MAX:
            return None
        place = find_batch(self._options, self._request_topic, partition, wanted)
        if place is None:
            return None
        del self._tries[partition]
        self._left[partition] = place
        first, last = max(wanted, place.first_offset), place.last_offset
        reason = f"offsets {first} to {last} are in a batch that cannot be read: {error.str()}"
        _log.error("batch_stepped_over", model_name=self._model_name, partition=partition, reason=reason)
        offsets = range(first, last + 1)
        return SteppedOver(
            partition,
            last + 1,
            [
                Unreadable(
                    RequestRecord(self._request_topic, partition, number, place.timestamp_ms, None, None, []),
                    "request-unreadable",
                    reason,
                )
                for number in (*offsets[: ANSWERS_MAX - 1], *offsets[ANSWERS_MAX - 1 :][-1:])
            ],
        )
