"""Feedback on answers: the port that takes it, and the join to the answer it is about."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal, Protocol

from msgspec import Struct

from hotswap_events.inference.messages import WindowFacts
from hotswap_events.inference.observation import Feedback
from hotswap_stream.application.observations.turned_out import (
    ItemPlaces,
    NumberErrors,
    Ranking,
    errors_of,
    places_of,
)
from hotswap_stream.errors import HotswapError

FEEDBACK_AT_ONCE_MAX = 1_000
REMEMBERED_MAX = 200_000
"""Answers whose feedback is remembered, so that more about one of them is `double`."""
LATE_SECONDS = 7 * 86_400.0

JoinStatus = Literal["joined", "double", "late", "unknown", "failed", "unfit", "not-needed"]


class FeedbackUnavailableError(HotswapError):
    """Feedback could not be written. Send it again with the same ids: it counts once."""

    retriable = True


class FeedbackRefusedError(HotswapError):
    """Feedback names a place where no request can be, so that it could never count. Nothing was written."""


class FeedbackLog(Protocol):
    """Take feedback."""

    async def append(self, records: Sequence[Feedback]) -> None:
        """Return when all of it is written.

        Raises:
            FeedbackRefusedError: It names a partition that the model's requests do not have.
            FeedbackUnavailableError: Some of it may be written.
        """
        ...


class FoundAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """An answer that is in its topic."""

    request_partition: int
    request_offset: int
    answered_at_ms: int
    """When it was given, by the broker's clock, in ms since 1970."""
    model_version: str | None
    """None: it was refused before a version was chosen."""
    ok: bool
    registry_offset: int | None = None
    """Offset of the event that chose the version: tells the phases of a rollout apart."""
    pinned: bool = False
    fallback_for: str | None = None
    worker: str = ""
    artifact_digest: str | None = None
    """Digest of the weights that computed it."""
    request_id: str | None = None
    error_code: str | None = None
    """The error of an answer that is one, as its worker wrote it."""
    error: str | None = None
    """The words of an error answer, as far as they are kept."""
    window: WindowFacts | None = None
    """The steps that it was made of, of a version that takes windows."""
    label: int | None = None
    """The index of the largest class score, of an answer to one row that has them."""
    numbers: tuple[float, ...] = ()
    """The first output, row-major, where they are at most `VALUES_MAX`; an answer found by id has none."""
    ranking: Ranking | None = None
    """What the first output ranks, of an answer to one row; an answer found by id has none."""


class AnswerExpiredError(HotswapError):
    """The answer was there and is no longer: its topic keeps answers for a limited time."""


class AnswerLookup(Protocol):
    """Finds answers again. Errors of the log are retriable HotswapErrors."""

    async def by_place(self, model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        """Return the answer to the request at this place; None while there is none.

        Raises:
            AnswerExpiredError: It was there and is no longer kept.
        """
        ...

    async def by_id(self, model_name: str, request_id: str) -> FoundAnswer | None:
        """Return the answer to the newest request with this id, among those it still knows.

        What it holds may be left out, but for the label: many answers are kept to be found by id.
        """
        ...


class JoinedFeedback(Struct, frozen=True, kw_only=True, gc=False):
    """Feedback with the answer it is about.

    `double`: there was feedback about this answer, or with this id, before. `late`: the answer was given too long ago.
    `unknown`: no such answer is known. `failed`: it was an error answer, so that there is nothing to judge. `unfit`:
    the answer holds nothing that the value or the items could be held against: as many numbers, or an order of items.
    `not-needed`: nobody asks for it, so that its answer was not looked up. Only `joined` counts for a version; the
    others are counted by themselves.
    """

    feedback: Feedback
    status: JoinStatus
    answer: FoundAnswer | None = None
    correct: bool | None = None
    """Whether the answer's label is the true one; None where either is not known."""
    errors: NumberErrors | None = None
    """How far the answer's numbers are from the true ones; None where there is nothing to compare."""
    chosen: ItemPlaces | None = None
    """Where the answer had what was chosen; None where there is nothing to compare."""
    version_mismatch: bool = False
    """The sender saw another version than the answer names: something is wrong with the sender."""

    @property
    def model_version(self) -> str | None:
        """The version it counts for."""
        return None if self.answer is None else self.answer.model_version


class FeedbackJoiner:
    """Joins feedback in the order of its topic. `remembered`: `keys` of an earlier one, oldest first."""

    def __init__(
        self,
        lookup: AnswerLookup,
        *,
        late_seconds: float = LATE_SECONDS,
        remembered_max: int = REMEMBERED_MAX,
        remembered: Iterable[str] = (),
    ) -> None:
        self.counts: dict[JoinStatus, int] = {}
        self._lookup = lookup
        self._late_ms = late_seconds * 1000
        self._remembered_max = remembered_max
        self._remembered = dict.fromkeys(remembered)

    @property
    def keys(self) -> tuple[str, ...]:
        """What is remembered, to be given to the next joiner."""
        return tuple(self._remembered)

    def newest_keys(self, count: int) -> tuple[str, ...]:
        """Return the newest `count` of `keys` at most, without a look at all of them."""
        return tuple(islice(reversed(self._remembered), count))[::-1]

    async def join(self, feedback: Feedback) -> JoinedFeedback:
        """Return the feedback with its answer.

        Raises:
            HotswapError: The log cannot be read. Then nothing is remembered; try again.
        """
        id_key = f"{feedback.model_name}/id/{feedback.feedback_id}"
        if id_key in self._remembered:
            return self._counted(JoinedFeedback(feedback=feedback, status="double"))
        try:
            answer = await self._find(feedback)
        except AnswerExpiredError:
            self._remember(id_key)
            return self._counted(JoinedFeedback(feedback=feedback, status="late"))
        self._remember(id_key)
        if answer is None:
            return self._counted(JoinedFeedback(feedback=feedback, status="unknown"))
        place_key = f"{feedback.model_name}/{answer.request_partition}/{answer.request_offset}"
        status: JoinStatus = "joined"
        if place_key in self._remembered:
            status = "double"
        elif feedback.at.timestamp() * 1000 - answer.answered_at_ms > self._late_ms:
            status = "late"
        elif not answer.ok or answer.model_version is None:
            status = "failed"
        self._remember(place_key)
        both = feedback.label is not None and answer.label is not None
        errors = None if feedback.value is None else errors_of(answer.numbers, feedback.value)
        chosen = None if answer.ranking is None else places_of(answer.ranking, feedback.items)
        if status == "joined" and errors is None and chosen is None and _needs_contents(feedback):
            status = "joined" if feedback.label is not None or feedback.reward is not None else "unfit"
        return self._counted(
            JoinedFeedback(
                feedback=feedback,
                status=status,
                answer=answer,
                correct=feedback.label == answer.label if both else None,
                errors=errors,
                chosen=chosen,
                version_mismatch=feedback.model_version not in (None, answer.model_version),
            )
        )

    def pass_over(self, feedback: Feedback) -> JoinedFeedback:
        """Count feedback that nobody asks for; more about the same answer is `double` as far as it shows."""
        keys = [f"{feedback.model_name}/id/{feedback.feedback_id}"]
        if feedback.request_partition is not None and feedback.request_offset is not None:
            keys.append(f"{feedback.model_name}/{feedback.request_partition}/{feedback.request_offset}")
        status: JoinStatus = "not-needed"
        for key in keys:
            if key in self._remembered:
                status = "double"
            else:
                self._remember(key)
        return self._counted(JoinedFeedback(feedback=feedback, status=status))

    async def _find(self, feedback: Feedback) -> FoundAnswer | None:
        if feedback.request_partition is not None and feedback.request_offset is not None:
            place = feedback.request_partition, feedback.request_offset
            return await self._lookup.by_place(feedback.model_name, *place)
        found = await self._lookup.by_id(feedback.model_name, str(feedback.request_id))
        if found is None or not found.ok or not _needs_contents(feedback):
            return found
        return await self._lookup.by_place(feedback.model_name, found.request_partition, found.request_offset)

    def _remember(self, key: str) -> None:
        self._remembered[key] = None
        while len(self._remembered) > self._remembered_max:
            del self._remembered[next(iter(self._remembered))]

    def _counted(self, joined: JoinedFeedback) -> JoinedFeedback:
        self.counts[joined.status] = self.counts.get(joined.status, 0) + 1
        return joined


def _needs_contents(feedback: Feedback) -> bool:
    """Return whether it is held against more of the answer than its label."""
    return feedback.value is not None or bool(feedback.items)
