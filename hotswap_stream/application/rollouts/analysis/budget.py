"""What the present analysis of a rollout may spend, and what it has spent. Pure: the time comes in."""

from datetime import datetime

from msgspec import Struct

from hotswap_events.rollouts.strategy import AnalysisStep, PauseStep
from hotswap_stream.application.rollouts.analysis.table import RolloutTable
from hotswap_stream.domain.state.rollout import RolloutState, seconds_in_phase


class Budget(Struct, frozen=True, kw_only=True):
    """Answers of each candidate, and time."""

    seconds: float
    seconds_max: float | None
    """None: the step takes as long as it takes."""
    answers: tuple[int, ...]
    """By candidate."""
    answers_max: int | None
    used: bool
    """Whether no more time, or no more answers by any candidate, may be spent."""

    def spent(self, answers: int) -> float:
        """Return the larger part of time and answers that is spent, 0 to 1, by a candidate with these answers."""
        by_time = self.seconds / self.seconds_max if self.seconds_max else 0.0
        by_answers = answers / self.answers_max if self.answers_max else 0.0
        return min(1.0, max(0.0, by_time, by_answers))


def budget_of(rollout: RolloutState, table: RolloutTable, now: datetime) -> Budget:
    """Return the budget of the present step, of a rollout without steps, or of a bake."""
    step, policy = rollout.step, rollout.policy
    seconds = max(0.0, seconds_in_phase(rollout, now))
    answers = tuple(tests.phase_answers for tests in table.candidates)
    if rollout.status == "baking":
        over = seconds >= policy.bake_seconds
        return Budget(seconds=seconds, seconds_max=policy.bake_seconds, answers=answers, answers_max=None, used=over)
    if isinstance(step, PauseStep):
        return Budget(
            seconds=seconds,
            seconds_max=step.duration_seconds,
            answers=answers,
            answers_max=None,
            used=_used(rollout, seconds, policy.seconds_max, answers, policy.answers_max),
        )
    seconds_max, answers_max = policy.seconds_max, policy.answers_max
    if isinstance(step, AnalysisStep):
        seconds_max = step.duration_seconds or seconds_max
        answers_max = step.answers or answers_max
    return Budget(
        seconds=seconds,
        seconds_max=seconds_max,
        answers=answers,
        answers_max=answers_max,
        used=_used(rollout, seconds, seconds_max, answers, answers_max),
    )


def _used(
    rollout: RolloutState, seconds: float, seconds_max: float, answers: tuple[int, ...], answers_max: int | None
) -> bool:
    if rollout.status == "running" and seconds >= seconds_max:
        return True
    return answers_max is not None and bool(answers) and all(each >= answers_max for each in answers)
