"""What became of the lives of a model's loop, so that no request ends them for ever.

A life may end by one of its requests: by an error in our own code, in a model's, or because a broker does not take the
answer. Which request it was is not known at first. So after such an end the next lives are *careful* up to where the
former one came: one request at a time, and none before the answer to the one before is in its topic. A request that
ends careful lives again is answered by an error instead; and where even that cannot be written, it is stepped over.
What is not a request's fault, such as brokers that are away, counts for none.
"""

from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.workers.inference.requests.requests import Request, Unreadable

_log = structlog.get_logger(__name__)

LIVES_ALONE_MAX = 2
"""Lives that a request may end while it is alone, beside the one that it ended among others."""
CAUSE_CHARACTERS_MAX = 500

REFUSED = frozenset(
    (
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.RECORD_LIST_TOO_LARGE,
    )
)
"""What brokers say of a record, not of themselves."""
_GAPLESS = KafkaError._GAPLESS_GUARANTEE
"""A producer ended because something was not written; what and why is not told."""
_OF_RECORDS = REFUSED | {_GAPLESS}


class _Ended(Struct):
    """Careful lives that one request ended."""

    lives: int
    cause: str


class Quarantine:
    """Remember, over all lives of one model's loop, which requests ended some."""

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name
        self._careful_until: dict[int, int] = {}
        """Partition → the offset up to which requests are taken one at a time."""
        self._ended: dict[tuple[int, int], _Ended] = {}
        self.stepped_over = 0
        """Requests that were answered by an error, or not at all, because they ended lives."""

    def life_ended(
        self,
        answered: Mapping[int, int],
        taken: Mapping[int, int],
        alone: tuple[int, int] | None,
        error: Exception,
    ) -> None:
        """Take in that a life ended by an error.

        Args:
            answered: Partition → offset below which all is answered.
            taken: Partition → offset below which all is taken.
            alone: Partition and offset of the only request that was being answered, in a careful life.
            error: What ended the life.
        """
        code = _code(error)
        if code is not None and code not in _OF_RECORDS:
            return
        if alone is not None and code != _GAPLESS:
            ended = self._ended.setdefault(alone, _Ended(0, ""))
            ended.lives += 1
            ended.cause = f"{type(error).__name__}: {error}"[:CAUSE_CHARACTERS_MAX]
        for partition, end in taken.items():
            if answered.get(partition, end) < end:
                self._careful_until[partition] = max(end, self._careful_until.get(partition, 0))

    def careful(self, positions: Mapping[int, int]) -> bool:
        """Look whether requests at these positions are taken one at a time, and forget what lies before them."""
        self._careful_until = {
            part: until for part, until in self._careful_until.items() if positions.get(part, until) < until
        }
        self._ended = {
            place: ended for place, ended in self._ended.items() if positions.get(place[0], place[1]) <= place[1]
        }
        return any(part in positions for part in self._careful_until)

    def admit(self, entry: Request | Unreadable) -> Request | Unreadable | None:
        """Return the entry; an error in its place if it ended lives; None if even that ended some: step over it."""
        record = entry.record
        ended = self._ended.get((record.partition, record.offset))
        if ended is None or ended.lives < LIVES_ALONE_MAX:
            return entry
        self.stepped_over += 1
        _log.error(
            "request_stepped_over",
            model_name=self._model_name,
            partition=record.partition,
            offset=record.offset,
            answered=ended.lives < 2 * LIVES_ALONE_MAX,
            cause=ended.cause,
        )
        if ended.lives >= 2 * LIVES_ALONE_MAX:
            return None
        # Nothing of the record goes into its answer: it may be what was refused.
        return Unreadable(replace(record, key=None), "request-unreadable", self.cause(record.partition, record.offset))

    def cause(self, partition: int, offset: int) -> str:
        """Return why a request is stepped over."""
        ended = self._ended[partition, offset]
        return f"the request cannot be answered: it ended the model's loop {ended.lives + 1} times, {ended.cause}"


def _code(error: Exception) -> int | None:
    """Return Kafka's code of an error; None for an error that is not Kafka's."""
    if not isinstance(error, KafkaException):
        return None
    cause = error.args[0] if error.args else None
    return cause.code() if isinstance(cause, KafkaError) else KafkaError._FAIL
