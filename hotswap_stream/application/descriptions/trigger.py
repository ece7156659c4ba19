"""Events of training policies and triggers in a few words for people."""

from collections.abc import Callable, Iterator
from typing import Any

from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import (
    QualityPeaked,
    TrainingPolicySet,
    TrainingSuppressed,
    TrainingTriggered,
)
from hotswap_stream.application.descriptions.text import shortened
from hotswap_stream.application.descriptions.training import after_text


def _set(data: TrainingPolicySet, model: str) -> str:
    if data.policy is None:
        return f"set no training policy for {model}: no run starts by itself"
    return f"set the training policy of {model}: {policy_text(data.policy)}"


def policy_text(policy: TrainingPolicy) -> str:
    """Return a training policy in a few words."""
    return (
        f"{', '.join(triggers_text(policy)) or 'nothing'} → {policy.trainer}, then {after_text(policy.after)}; "
        f"cooldown {policy.cooldown_seconds:g} s, at most {policy.runs_per_day_max} a day"
        + (f", {len(policy.freeze)} freeze window{'s' if len(policy.freeze) > 1 else ''}" if policy.freeze else "")
    )


def triggers_text(policy: TrainingPolicy) -> Iterator[str]:
    """Yield each trigger of a policy in a few words."""
    if policy.schedule is not None:
        yield f"schedule {shortened(policy.schedule.cron)!r} {policy.schedule.timezone}"
    if policy.drift is not None:
        yield f"{policy.drift.metric} above {policy.drift.limit:g} in {policy.drift.consecutive} windows"
    if policy.quality is not None:
        yield f"{policy.quality.metric} worse by {policy.quality.drop:g}"
    if policy.data is not None and policy.data.rows is not None:
        yield f"{policy.data.rows:,} rows"
    if policy.data is not None and policy.data.files:
        yield "new files"
    if policy.by_hand:
        yield "by hand"


def _triggered(data: TrainingTriggered, model: str) -> str:
    return f"triggered training run {data.run_id} of {model} by {data.trigger}{_why(data.detail)}"


def _suppressed(data: TrainingSuppressed, model: str) -> str:
    return f"suppressed a training run of {model} by {data.trigger} ({data.cause}){_why(data.detail)}"


def _why(detail: str | None) -> str:
    return f": {shortened(detail)}" if detail else ""


def _peaked(data: QualityPeaked, model: str) -> str:
    return (
        f"saw that the quality of {data.model_version} of {model} peaked: {data.metric} {data.value:.4g} for sure, in "
        f"{data.labels:,} labels"
    )


TRIGGER_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    TrainingPolicySet: _set,
    TrainingTriggered: _triggered,
    TrainingSuppressed: _suppressed,
    QualityPeaked: _peaked,
}
