"""What was recorded of a rollout, kept in memory: observations, feedback, and the answers that feedback is about."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from hotswap_events.inference.observation import Feedback
from hotswap_stream.application.observations.feedback import FoundAnswer
from hotswap_stream.application.observations.history import Recorded
from hotswap_stream.errors import HotswapError
from tests.support.samples.observations import BEGIN
from tests.support.samples.registry import MODEL


class KeptHistory:
    """A RecordedHistory in memory; with an `error`, one that cannot be read."""

    error: HotswapError | None = None

    def __init__(self, records: list[Recorded]) -> None:
        self.records = records

    async def read(self, _model_name: str, since: datetime, until: datetime | None) -> AsyncIterator[Recorded]:
        if self.error is not None:
            raise self.error
        for record in self.records:
            if since <= record.at and (until is None or record.at <= until):
                yield record


class KeptFeedback:
    """A FeedbackLog in memory."""

    def __init__(self) -> None:
        self.records: list[Feedback] = []

    async def append(self, feedback: Sequence[Feedback]) -> None:
        self.records += feedback


class EvenAnswers:
    """Requests at even offsets were answered by v2, all with label 1, at one time."""

    def __init__(self) -> None:
        self.set_answered_at(BEGIN + timedelta(seconds=1))

    def set_answered_at(self, answered_at: datetime) -> None:
        """Set the time of all answers."""
        self._answered_at_ms = round(answered_at.timestamp() * 1000)

    async def by_place(self, _model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        return FoundAnswer(
            request_partition=request_partition,
            request_offset=request_offset,
            answered_at_ms=self._answered_at_ms,
            model_version="v1" if request_offset % 2 else "v2",
            ok=True,
            label=1,
        )

    async def by_id(self, _model_name: str, _request_id: str) -> FoundAnswer | None:
        return None


def labels(count: int, at: datetime) -> list[Recorded]:
    """Feedback by place about `EvenAnswers`: v1 is always right, v2 a quarter of the time."""
    return [
        Recorded(
            at,
            Feedback(
                model_name=MODEL,
                feedback_id=f"f{number}",
                at=at,
                request_partition=0,
                request_offset=number,
                label=1 if number % 2 or number % 8 == 0 else 0,
            ),
        )
        for number in range(count)
    ]
