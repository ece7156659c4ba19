"""How a shadow compared, from the two topics that tell it: all pairs counted, some of them with both outputs."""

import msgspec
from aiokafka import TopicPartition
from msgspec import Struct

from hotswap_events.inference.observation import Comparison, Observation
from hotswap_stream import bootstrap
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.kafka.reading import read_to
from hotswap_stream.kafka.sessions import open_reader
from hotswap_stream.settings import Settings

READ_MS = 500

_comparisons = msgspec.json.Decoder(Comparison)


class ShadowPairs(Struct, frozen=True, kw_only=True):
    """Pairs of outputs, the primary's and the shadow's, for the same request."""

    compared: int
    agreed: int
    skipped: int
    """Requests that the shadow should have seen, had the worker had time for it."""
    shown: tuple[Comparison, ...]
    """Pairs with both outputs."""

    @property
    def agreement(self) -> float:
        """Return the share of the pairs with the same label, 0 to 1."""
        return self.agreed / self.compared if self.compared else 0.0


async def shadow_pairs(settings: Settings, model_name: str, rollout: RolloutState) -> ShadowPairs:
    """Return what the topics hold about this rollout now. LogUnavailableError when they cannot be read."""
    agreed = disagreed = skipped = 0
    read_up_to: dict[str, int] = {}
    async for recorded in bootstrap.recorded_history(settings).read(model_name, rollout.started_at, None):
        seen = recorded.value
        if not isinstance(seen, Observation) or seen.role != "shadow" or seen.rollout_id != rollout.rollout_id:
            continue
        if seen.sequence <= read_up_to.get(seen.worker_run, 0):
            continue  # sent twice
        read_up_to[seen.worker_run] = seen.sequence
        agreed, disagreed, skipped = agreed + seen.agreed, disagreed + seen.disagreed, skipped + seen.skipped
    return ShadowPairs(
        compared=agreed + disagreed,
        agreed=agreed,
        skipped=skipped,
        shown=tuple([pair for pair in await _shown(settings) if pair.rollout_id == rollout.rollout_id]),
    )


async def _shown(settings: Settings) -> list[Comparison]:
    topic = bootstrap.topics(settings).comparisons
    found: list[Comparison] = []
    async with open_reader(bootstrap.connection(settings).client_options(), topic) as consumer:
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends = await consumer.end_offsets(parts)
        async for _part, records in read_to(consumer, ends, poll_ms=READ_MS):
            found += [_comparisons.decode(record.value) for record in records]
    return found
