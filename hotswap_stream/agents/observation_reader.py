"""The one reader of the observations: each record is read once, and every subscriber hears it, one after the other."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from hotswap_events.inference.observation import Observation
from hotswap_stream.agents.model_records import read_model_record
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.topics.records import InboundRecord

_decoder = msgspec.json.Decoder(Observation)


class ObservationSubscriber(Protocol):
    """Hears each observation that could be read, in the order of its partition."""

    async def hear(self, observation: Observation, record: InboundRecord) -> None:
        """Return when the observation counts.

        Raises:
            HotswapError: Retriable: the record is read again, and all subscribers hear it again.
            Exception: Any other puts the record aside, and no later subscriber hears it.
        """


class ObservationReader:
    """Hands observations to its subscribers, in their order; the record is acknowledged after the last one.

    One reader and not a consumer for each: what is committed is then what all of them have heard, and the partitions by
    which a process owns models are the same for all of them.
    """

    def __init__(self, care: RecordCare, subscribers: Sequence[ObservationSubscriber]) -> None:
        self._care = care
        self._subscribers = tuple(subscribers)
        self.handle = care.of(self._handle)
        """Return when all subscribers have heard what the record says, or it was put aside."""

    async def _handle(self, record: InboundRecord) -> None:
        observation = await read_model_record(record, _decoder, self._care)
        if observation is None:
            return
        for subscriber in self._subscribers:
            await subscriber.hear(observation, record)
