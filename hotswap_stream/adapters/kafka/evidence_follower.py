"""The evidence of all rollouts that go on, followed from some hours ago on."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_stream.adapters.kafka.recent_records import RecentFollower, read_recently
from hotswap_stream.application.rollouts.shown import EvidenceFold, Heard, RolloutShown, read_evidence
from hotswap_stream.kafka.reading import Record

HOURS_BACK = 6
LATELY_SECONDS = 10
"""What was not spoken of for so long is not written of any more."""
RECORDS_BACK_MAX = 20_000
"""Records of each partition: some seconds of work at the start."""


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
    recently = read_recently(client_options, topic, seconds_back=LATELY_SECONDS, records_back_max=RECORDS_BACK_MAX)
    async with aclosing(recently) as records:
        async for record in records:
            told = read_evidence(record.key, record.value)
            if told is not None:
                fold.take(told)
    return fold


class EvidenceFollower(RecentFollower):
    """An EvidenceView. Passes over what is no evidence, speaks of another key's model, or finds no room."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        super().__init__(
            client_options,
            topic,
            unusable="evidence_passed_over",
            seconds_back=HOURS_BACK * 3_600,
            records_back_max=RECORDS_BACK_MAX,
        )
        self._evidence = EvidenceFold()
        self._heard: list[Heard] = []

    def latest(self, model_name: str, rollout_id: str) -> tuple[RolloutEvidence, ...]:
        """See EvidenceView."""
        return self._evidence.latest(model_name, rollout_id)

    def shown(self, model_name: str, rollout_id: str) -> RolloutShown:
        """See EvidenceView."""
        return self._evidence.shown(model_name, rollout_id)

    def listen(self, heard: Heard) -> Callable[[], None]:
        """See EvidenceView."""
        self._heard.append(heard)
        return lambda: self._heard.remove(heard)

    def _take(self, record: Record) -> bool:
        found = read_evidence(record.key, record.value)
        if found is None or not self._evidence.take(found):
            return False
        if self.known:
            for heard in tuple(self._heard):
                heard(found)
        return True
