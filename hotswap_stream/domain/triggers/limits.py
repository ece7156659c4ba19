"""What a training policy may be. A message says what is wrong, and what would be right."""

import math

from hotswap_events.training.policy import FreezeWindow, QualityTrigger, TrainingPolicy
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_METRICS
from hotswap_stream.domain.triggers.calendar import wrong_cron, wrong_zone


def wrong_training_policy(policy: TrainingPolicy) -> str | None:
    """Return why the policy cannot hold, whatever the model, or None."""
    return limits.wrong_shape(policy, TrainingPolicy) or _wrong_parts(policy) or _wrong_freeze(policy)


def _wrong_parts(policy: TrainingPolicy) -> str | None:
    schedule, data = policy.schedule, policy.data
    if schedule is not None and (wrong := wrong_cron(schedule.cron) or wrong_zone(schedule.timezone)):
        return f"schedule: {wrong}"
    if policy.quality is not None and (wrong := _wrong_quality(policy.quality)):
        return f"quality: {wrong}"
    if data is not None and data.rows is None and not data.files:
        return "data: neither rows nor files; say how many rows start a run, or that each new file does"
    return None


def _wrong_quality(quality: QualityTrigger) -> str | None:
    if quality.metric not in FEEDBACK_METRICS:
        fit = ", ".join(sorted(FEEDBACK_METRICS))
        return f"metric {quality.metric} is not made of what comes back about answers; {fit} are"
    return None if math.isfinite(quality.drop) else f"drop is {quality.drop}; a finite number is needed"


def _wrong_freeze(policy: TrainingPolicy) -> str | None:
    for number, window in enumerate(policy.freeze, start=1):
        if wrong := _wrong_window(window):
            return f"freeze window {number}: {wrong}"
    return None


def _wrong_window(window: FreezeWindow) -> str | None:
    moments = (window.begins, window.ends)
    times = (window.from_time, window.to_time)
    if (None in moments) == (None in times) or any(moments) != all(moments) or any(times) != all(times):
        return "either begins and ends, or from_time and to_time are needed"
    if window.begins is not None and window.ends is not None and window.begins >= window.ends:
        return f"it ends at {window.ends.isoformat()}, before it begins"
    if window.begins is not None and window.days:
        return "days belong to from_time and to_time"
    if len(set(window.days)) != len(window.days):
        return "it names a day twice"
    return wrong_zone(window.timezone)
