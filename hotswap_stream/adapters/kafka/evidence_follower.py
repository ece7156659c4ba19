"""The evidence of all rollouts that go on, followed from some hours ago on."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import structlog
from aiokafka import TopicPartition

from hotswap_events.evidence import RolloutEvidence
from hotswap_stream.adapters.kafka.recent_records import POLL_MS, RecentRecords, begin_recently
from hotswap_stream.application.rollouts.shown import EvidenceFold, Heard, RolloutShown, read_evidence
from hotswap_stream.kafka.reading import Record, read_to
from hotswap_stream.kafka.sessions import open_reader

_log = structlog.get_logger(__name__)

HOURS_BACK = 6
LATELY_SECONDS = 10
"""What was not spoken of for so long is not written of any more."""
RECORDS_BACK_MAX = 20_000
"""Of each partition: some seconds of work at the start."""


async def read_evidence_lately(client_options: Mapping[str, Any], topic: str) -> EvidenceFold:
    """Read what rollouts showed in the last seconds.

    Args:
        client_options: How to reach the cluster.
        topic: That of the evidence.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved before the end.
    """
    fold = EvidenceFold()
    async with open_reader(client_options, topic) as consumer:
        places: dict[TopicPartition, int] = {}
        found = await begin_recently(
            consumer, topic, places, seconds_back=LATELY_SECONDS, records_back_max=RECORDS_BACK_MAX
        )
        ends = {part: end for part, end in found.items() if places[part] < end}
        if ends:
            async for _part, records in read_to(consumer, ends, poll_ms=POLL_MS):
                for record in records:
                    told = read_evidence(record.key, record.value)
                    if told is not None:
                        fold.take(told)
    return fold


class EvidenceFollower:
    """An EvidenceView. `start` returns at once; it is `known` once what was there is read."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.passed_over = 0
        """Records that are no evidence, or speak of another key's model, or for which there is no room."""
        self._fold_of = EvidenceFold()
        self._heard: list[Heard] = []
        self._records = RecentRecords(
            client_options, topic, self._fold, seconds_back=HOURS_BACK * 3_600, records_back_max=RECORDS_BACK_MAX
        )

    @property
    def known(self) -> bool:
        """See EvidenceView."""
        return self._records.known

    def start(self) -> None:
        """Begin to read, on the running event loop."""
        self._records.start()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no more."""
        await self._records.stop()

    def latest(self, model_name: str, rollout_id: str) -> tuple[RolloutEvidence, ...]:
        """See EvidenceView."""
        return self._fold_of.latest(model_name, rollout_id)

    def shown(self, model_name: str, rollout_id: str) -> RolloutShown:
        """See EvidenceView."""
        return self._fold_of.shown(model_name, rollout_id)

    def listen(self, heard: Heard) -> Callable[[], None]:
        """See EvidenceView."""
        self._heard.append(heard)
        return lambda: self._heard.remove(heard)

    def _fold(self, record: Record) -> None:
        found = read_evidence(record.key, record.value)
        if found is None or not self._fold_of.take(found):
            self.passed_over += 1
            if self.passed_over & (self.passed_over - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                _log.warning("evidence_passed_over", count=self.passed_over, offset=record.offset)
            return
        if self._records.known:
            for heard in tuple(self._heard):
                heard(found)
