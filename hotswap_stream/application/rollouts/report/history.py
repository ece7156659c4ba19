"""Reports of rollouts from what was recorded, for the API and the command line."""

from datetime import datetime, timedelta

from hotswap_events.commands import Refusal
from hotswap_events.inference.observation import Observation
from hotswap_stream.application.observations.feedback import AnswerLookup, FeedbackJoiner
from hotswap_stream.application.observations.history import RecordedHistory, in_turns
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.application.rollouts.analysis.entry import judged_of
from hotswap_stream.application.rollouts.report.report import MARGINS, Experiment, ExperimentReport
from hotswap_stream.domain.deciding.applicable import applicable
from hotswap_stream.domain.state.rollout import RolloutState

OUTSTANDING = timedelta(minutes=5)
"""Workers may say so late what they answered in a rollout that has ended."""


async def experiment_report(
    streams: Streams,
    model_name: str,
    history: RecordedHistory,
    *,
    rollout_id: str | None = None,
    answers: AnswerLookup | None = None,
) -> ExperimentReport | Refusal:
    """Return the report on this rollout; without an id, on the one that goes on, or the last one that ended.

    Reads all that was recorded since it began: about 10,000 records a second. Feedback that comes after its end changes
    nothing. HotswapErrors where it cannot be read.
    """
    rollout = _find(streams, model_name, rollout_id)
    if isinstance(rollout, Refusal):
        return rollout
    experiment = Experiment(rollout, shown=applicable(MARGINS, streams[model_name].state))
    joiner = None if answers is None else FeedbackJoiner(answers)
    async for recorded in in_turns(history.read(model_name, rollout.started_at, _until(rollout))):
        value = recorded.value
        if isinstance(value, Observation):
            if value.rollout_id == rollout.rollout_id:
                experiment.observe(value, recorded.at)
        elif joiner is not None and (rollout.ended_at is None or recorded.at <= rollout.ended_at):
            judged = judged_of(await joiner.join(value))
            # The answers of the bake are no longer those of two arms.
            if judged is not None and (rollout.ended_at is None or judged.answered_at <= rollout.ended_at):
                experiment.judge(judged, recorded.at)
    return experiment.report(model_name, rollout, None if joiner is None else joiner.counts)


def _until(rollout: RolloutState) -> datetime | None:
    return None if rollout.ended_at is None else rollout.ended_at + OUTSTANDING


def _find(streams: Streams, model_name: str, rollout_id: str | None) -> RolloutState | Refusal:
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    state = stream.state
    known = [found for found in (state.rollout, *reversed(state.rollout_history)) if found is not None]
    for rollout in known:
        if rollout_id in (None, rollout.rollout_id):
            return rollout
    names = tuple(rollout.rollout_id for rollout in known)
    if rollout_id is None:
        return Refusal(code="unknown-rollout", reason=f"no rollout of {model_name!r} has begun yet")
    reason = f"{model_name!r} has no rollout {rollout_id!r}; there is {', '.join(names) or 'none yet'}"
    return Refusal(code="unknown-rollout", reason=reason, legal=names)
