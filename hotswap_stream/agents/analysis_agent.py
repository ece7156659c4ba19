"""What is done with each observation and each piece of feedback: it is folded, and what is due is decided.

Between reading a model's entry and writing it nothing is awaited, because both topics lead to the same one. A decision
is made after the entry is written. A process that dies in between reads the record again, folds nothing, and makes the
same decision: its command names the same state, and the rules refuse it where it was carried out.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from hotswap_events.inference.observation import Feedback, Observation
from hotswap_events.topics import Topics
from hotswap_stream.agents.model_records import appended_at, read_model_record
from hotswap_stream.agents.progress.reading import ReadingProgress
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.observations.feedback import AnswerLookup, FeedbackJoiner, JoinedFeedback
from hotswap_stream.application.own_commands import as_own
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.analysis.due import due
from hotswap_stream.application.rollouts.analysis.entry import (
    FEEDBACK_KEYS_MAX,
    AnalysisEntry,
    wants_feedback,
    with_feedback,
    with_observation,
)
from hotswap_stream.application.rollouts.analysis.phases import in_step_with
from hotswap_stream.application.topics.records import InboundRecord, Publisher
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

ENTRY_BYTES_MAX = 900_000
DUE_AT_ONCE_MAX = 64
REFUSALS_KEPT_MAX = 1_000
UNDECIDABLE_TOLD_MAX = 10_000

_feedback = msgspec.json.Decoder(Feedback)
_entries = msgspec.msgpack.Decoder(AnalysisEntry)
_encoder = msgspec.msgpack.Encoder()


class FeedbackListener(Protocol):
    """Hears what came back about answers beside the analysis. Nothing here may raise."""

    def wants_feedback(self, model_name: str) -> bool:
        """Return whether the answers that feedback about this model is about are to be looked up."""
        ...

    def hear_feedback(self, joined: JoinedFeedback, at: datetime) -> None:
        """Take in feedback that came at this time, by the broker's clock."""
        ...


class AnalysisAgent:
    """Decides rollouts. `entries` is the table: model name → encoded `AnalysisEntry`, bytes to bytes.

    `hear` gets the observations and `handle_feedback` the records of their topic, each in order; `tick` is called now
    and then to decide about models whose records this process gets. `flush` returns when the table is safe: a decision
    is only made on what a process that is started after this one's death will know too.

    `handle_feedback` raises retriable HotswapErrors only, which mean: read the record again.
    """

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        topics: Topics,
        entries: MutableMapping[bytes, bytes],
        *,
        clock: Clock,
        answers: AnswerLookup | None = None,
        flush: Callable[[], Awaitable[None]] | None = None,
        care: RecordCare | None = None,
        listeners: Sequence[FeedbackListener] = (),
    ) -> None:
        self._registry = registry
        self._listeners = listeners
        self._care = care or RecordCare(publisher, topics)
        self.handle_feedback = self._care.of(self._handle_feedback)
        """Return when the feedback counts."""
        self._entries = entries
        self._clock = clock
        self._answers = answers
        self._flush = flush
        self._joiners: dict[str, FeedbackJoiner] = {}
        self._refused: dict[str, None] = {}
        self._undecidable: set[str] = set()
        self._progress = ReadingProgress(clock.now())
        self.decided_count = 0

    async def hear(self, observation: Observation, record: InboundRecord) -> None:
        """Return when the observation counts, and what is due after it is decided, or refused.

        Raises:
            HotswapError: Retriable: what was not acknowledged is to be read again.
            Exception: Any other says that the record is at fault.
        """
        with self._progress.handling(appended_at(record), self._clock.now()):
            await self._observe(observation, record)

    async def _observe(self, observation: Observation, record: InboundRecord) -> None:
        model_name = observation.model_name
        await self._know(model_name, observation.rollout_id)
        entry, state = self.entry(model_name), self._registry.state(model_name)
        try:
            folded = with_observation(entry, state.rollout, observation, record.offset, appended_at(record))
            self._keep(model_name, entry, folded)
        except ValueError as error:
            await self._care.put_aside(record, f"the observation cannot be folded: {error}")
            return
        await self._decide(model_name, self._told_by(record))

    async def _handle_feedback(self, record: InboundRecord) -> None:
        feedback = await read_model_record(record, _feedback, self._care)
        if feedback is None:
            return
        if self._answers is None or record.offset < self.entry(feedback.model_name).feedback_next:
            return
        with self._progress.handling(appended_at(record), self._clock.now()):
            await self._join(feedback, record, self._answers)

    async def _join(self, feedback: Feedback, record: InboundRecord, answers: AnswerLookup) -> None:
        model_name = feedback.model_name
        joiner = self._joiners.get(model_name)
        if joiner is None:
            remembered = self.entry(model_name).feedback_keys
            joiner = self._joiners[model_name] = FeedbackJoiner(answers, remembered=remembered)
        wanted = wants_feedback(self._registry.state(model_name).rollout)
        hearing = [listener for listener in self._listeners if listener.wants_feedback(model_name)]
        joined = await joiner.join(feedback) if wanted or hearing else joiner.pass_over(feedback)
        entry, state = self.entry(model_name), self._registry.state(model_name)
        folded = with_feedback(entry, state.rollout, joined, joiner.newest_keys(FEEDBACK_KEYS_MAX), record.offset)
        self._keep(model_name, entry, folded)
        for listener in hearing:
            listener.hear_feedback(joined, appended_at(record))
        await self._decide(model_name, self._told_by(record))

    def feedback_total(self, model_name: str) -> int:
        """Return how many pieces of feedback came about the model; one that came twice counts once."""
        counts = self.entry(model_name).feedback_counts
        return sum(count for status, count in counts.items() if status != "double")

    async def tick(self, owns: Callable[[str], bool]) -> None:
        """Decide what is due by time alone: pauses, budgets and bakes that are over.

        Time has come as far as the records were read, because those that were sent earlier may decide otherwise.

        Args:
            owns: Whether this process gets the records of a model of this name.
        """
        now = self.read_to()
        if now is None:
            return
        for model_name, stream in list(self._registry.fold.streams.items()):
            if stream.state.rollout is not None and owns(model_name):
                await self._decide(model_name, now)

    def read_to(self) -> datetime | None:
        """Return how far time has come by what was read; None: nobody can tell."""
        return self._progress.read_to(self._clock.now())

    def _told_by(self, record: InboundRecord) -> datetime | None:
        """Return the time that has come with this record: its own, or less while the other topic lags."""
        at, now = appended_at(record), self._clock.now()
        read_to = self._progress.read_to(now)
        # The broker's clock may be ahead of this one.
        return None if read_to is None else min(at, max(at, now) - (now - read_to))

    async def _decide(self, model_name: str, now: datetime | None) -> None:
        """Decide what is due. What was folded counts, whatever becomes of this.

        Figures that nothing can be concluded from are no fault of the record that came last, and of no other model.
        """
        try:
            await self._decide_due(model_name, now)
        except HotswapError as error:
            if error.retriable:
                raise
            self._say_undecidable(model_name, error)
        except Exception as error:  # noqa: BLE001 - see above
            self._say_undecidable(model_name, error)

    def _say_undecidable(self, model_name: str, error: Exception) -> None:
        """Log the error, once per model, so that the log does not fill."""
        if model_name not in self._undecidable and len(self._undecidable) < UNDECIDABLE_TOLD_MAX:
            self._undecidable.add(model_name)
            _log.error("rollout_not_decidable", model_name=model_name, exc_info=error)

    async def _decide_due(self, model_name: str, now: datetime | None) -> None:
        """Decide what is due by the evidence, and by the time that has come.

        Without `now` nobody can tell how much time that is; what the evidence shows is decided all the same.
        """
        for _attempt in range(DUE_AT_ONCE_MAX):
            state = self._registry.state(model_name)
            rollout = state.rollout
            if rollout is None or state.unknown_event_type is not None:
                return
            entry = self.entry(model_name)
            table = in_step_with(entry.table, rollout).rollout
            if table is None:
                return
            time = rollout.phase_started_at if now is None else now
            command = due(model_name, rollout, table, now=time, read_up_to=entry.read_up_to)
            if command is None or command.command_id in self._refused:
                return
            if self._flush is not None:
                await self._flush()
            result = await self._registry.handle(as_own(command))
            if result.status == "accepted":
                self.decided_count += 1
                _log.info("rollout_decided", model_name=model_name, events=result.event_types, reason=command.reason)
                continue
            if result.status != "unchanged":
                _log.warning("rollout_decision_refused", model_name=model_name, refusal=result.refusal)
            # Who was faster has changed the state; if nobody has, it would be refused again.
            if self._registry.state(model_name).rollout == rollout:
                self._refuse(command.command_id)

    def _refuse(self, command_id: str) -> None:
        self._refused[command_id] = None
        if len(self._refused) > REFUSALS_KEPT_MAX:
            del self._refused[next(iter(self._refused))]

    async def _know(self, model_name: str, rollout_id: str | None) -> None:
        """Read the log to its end where a worker knows of a rollout that this process has not read of."""
        if rollout_id is not None and not _knows(self._registry.state(model_name), rollout_id):
            await self._registry.catch_up()

    def entry(self, model_name: str) -> AnalysisEntry:
        """Return what was folded of a model."""
        value = self._entries.get(model_name.encode())
        if value is None:
            return AnalysisEntry()
        try:
            return _entries.decode(value)
        except Exception as error:  # noqa: BLE001 - whatever was written there, what is kept begins anew
            _log.error("analysis_entry_unreadable", model_name=model_name, cause=str(error))
            return AnalysisEntry()

    def _keep(self, model_name: str, entry: AnalysisEntry, folded: AnalysisEntry) -> None:
        if folded is entry:
            return
        value = _encoder.encode(folded)
        if len(value) > ENTRY_BYTES_MAX:
            raise ValueError(f"what is kept of {model_name!r} grew to {len(value)} bytes; {ENTRY_BYTES_MAX} are kept")
        self._entries[model_name.encode()] = value


def _knows(state: ModelState, rollout_id: str) -> bool:
    rollouts: tuple[RolloutState | None, ...] = (state.rollout, *state.rollout_history)
    return any(rollout is not None and rollout.rollout_id == rollout_id for rollout in rollouts)
