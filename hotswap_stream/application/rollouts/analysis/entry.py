"""What the analysis keeps of one model in its table: what was folded, and how far each sender's records were read."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.inference.observation import Observation
from hotswap_stream.application.observations.feedback import JoinedFeedback, JoinStatus
from hotswap_stream.application.rollouts.analysis.figures import JudgedAnswer
from hotswap_stream.application.rollouts.analysis.folding import fold_judged, fold_observation
from hotswap_stream.application.rollouts.analysis.table import ModelTable
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_METRICS
from hotswap_stream.domain.state.rollout import RolloutState

RUNS_MAX = 1_000
"""Runs of workers whose place is remembered; those heard of longest ago make room."""
RUN_SILENT_SECONDS_MAX = 3_600
"""A run that was silent for longer is over: it does not send again what it was not sure of."""
FEEDBACK_KEYS_MAX = 200
"""Newest feedback that is known again after a restart."""


class RunMark(Struct, frozen=True, array_like=True, gc=False):
    """How far the records of one run of a worker were read."""

    sequence: int
    heard_s: int


class AnalysisEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Value of the analysis table, as msgpack. Key: the model name."""

    table: ModelTable = ModelTable()
    runs: dict[str, RunMark] = {}
    observations_next: int = 0
    """Offset after the last observation that was folded; `feedback_next` alike."""
    feedback_next: int = 0
    feedback_counts: dict[JoinStatus, int] = {}
    feedback_keys: tuple[str, ...] = ()
    lost: int = 0
    """Records that never came, by the gaps in their numbers."""

    @property
    def read_up_to(self) -> int:
        """How far records were read. It grows with each record: watermarks are made of it."""
        return self.observations_next + self.feedback_next


def with_observation(
    entry: AnalysisEntry, rollout: RolloutState | None, record: Observation, offset: int, appended_at: datetime
) -> AnalysisEntry:
    """Return the entry with one observation more; the same if it was read before.

    Args:
        entry: What is kept of the model.
        rollout: The model's current rollout, or None.
        record: The observation.
        offset: The record's offset in its partition.
        appended_at: The record's time in its topic, by the broker's clock; what a worker's clock says ends no other
            run.

    Raises:
        ValueError: It cannot be folded.
    """
    mark = entry.runs.get(record.worker_run)
    last = 0 if mark is None else mark.sequence
    if record.sequence <= last:
        return entry
    heard_s = int(appended_at.timestamp())
    runs = {
        run: known
        for run, known in entry.runs.items()
        if run != record.worker_run and heard_s - known.heard_s <= RUN_SILENT_SECONDS_MAX
    }
    while len(runs) >= RUNS_MAX:
        del runs[next(iter(runs))]
    runs[record.worker_run] = RunMark(record.sequence, heard_s)
    return replace(
        entry,
        table=fold_observation(entry.table, rollout, record),
        runs=runs,
        observations_next=max(entry.observations_next, offset + 1),
        lost=entry.lost + (record.sequence - last - 1 if mark is not None else 0),
    )


def with_feedback(
    entry: AnalysisEntry, rollout: RolloutState | None, joined: JoinedFeedback, keys: tuple[str, ...], offset: int
) -> AnalysisEntry:
    """Return the entry with one piece of feedback more, whatever it was joined to."""
    judged = judged_of(joined)
    counts = {**entry.feedback_counts, joined.status: entry.feedback_counts.get(joined.status, 0) + 1}
    return replace(
        entry,
        table=entry.table if judged is None else fold_judged(entry.table, rollout, judged),
        feedback_next=max(entry.feedback_next, offset + 1),
        feedback_counts=counts,
        feedback_keys=keys,
    )


def wants_feedback(rollout: RolloutState | None) -> bool:
    """Return whether a decision may come of feedback.

    If not, the answers it is about, which costs a look into their topic, are not looked up. Reports and backtests join
    what was recorded by themselves.
    """
    return rollout is not None and any(rule.metric in FEEDBACK_METRICS for rule in rollout.policy.metrics)


def judged_of(joined: JoinedFeedback) -> JudgedAnswer | None:
    """Return what counts for a version; None where nothing does.

    An answer that the split of the traffic did not choose counts for none.
    """
    answer = joined.answer
    if joined.status != "joined" or answer is None or answer.model_version is None:
        return None
    if answer.pinned or answer.fallback_for is not None:
        return None
    return JudgedAnswer(
        model_version=answer.model_version,
        answered_at=datetime.fromtimestamp(answer.answered_at_ms / 1000, tz=joined.feedback.at.tzinfo),
        correct=joined.correct,
        reward=joined.feedback.reward,
        errors=joined.errors,
        chosen=joined.chosen,
    )
