"""What may happen to rollouts. Pure, as all rules: durations are watched elsewhere and come in as commands."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.commands import Refusal
from hotswap_events.rollouts.commands import (
    AbortRollout,
    AdvanceRollout,
    ChangeStrategy,
    PauseRollout,
    PromoteRollout,
    RecordAnalysis,
    ResumeRollout,
    StartRollout,
)
from hotswap_events.rollouts.events import (
    RolloutBakeEnded,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
    RolloutStrategyChanged,
)
from hotswap_events.rollouts.strategy import AbStrategy, FixedStrategy, ProgressiveStrategy, RolloutPolicy, Strategy
from hotswap_stream.domain.deciding.applicable import inapplicable
from hotswap_stream.domain.deciding.decision import Accepted, Decision, illegal, invalid, why_not_playable
from hotswap_stream.domain.deciding.legal_steps import legal_steps, ways_into_production
from hotswap_stream.domain.deciding.signatures import differing_signature
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR
from hotswap_stream.domain.rollouts.automatic import success_told
from hotswap_stream.domain.rollouts.limits import wrong_rollout_policy, wrong_strategy
from hotswap_stream.domain.rollouts.measures import unmeasurable
from hotswap_stream.domain.rollouts.outcomes import record_analysis
from hotswap_stream.domain.rollouts.plan import (
    aborting,
    candidates_of,
    first_moves,
    moves_from,
    promoting,
    rolling_back,
    unfit_candidate,
)
from hotswap_stream.domain.rollouts.refusals import current_rollout, not_now
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState, baseline_arms, waits_until_resumed, with_strategy


def _start(state: ModelState, command: StartRollout) -> Decision:
    rollout, baseline = state.rollout, state.active_version
    if rollout is not None and rollout.status != "baking":
        return not_now(state, rollout, f"is {rollout.status}; one at a time")
    if baseline is None:
        return Refusal(
            code="illegal-step",
            reason=f"{state.model_name!r} has no active version to compare with: put a first one into production",
            legal=ways_into_production(state),
        )
    if wrong := _wrong(state, command.strategy, command.policy, baseline):
        return invalid(wrong)
    candidates = candidates_of(command.strategy, command.candidates, baseline)
    if isinstance(candidates, Refusal):
        return candidates
    if unfit := unfit_candidate(state, command.strategy, candidates, forced=command.forced):
        return unfit
    if differing := _differing_candidate(state, candidates, allowed=command.allow_signature_change):
        return differing
    rollout_id = f"r{state.rollouts_total + 1}"
    started = RolloutStarted(
        rollout_id=rollout_id,
        strategy=command.strategy,
        baseline_version=baseline,
        candidates=candidates,
        salt=command.salt or f"{state.model_name}/{rollout_id}",
        policy=command.policy,
        forced=command.forced,
    )
    bake = () if rollout is None else (RolloutBakeEnded(rollout_id=rollout.rollout_id, outcome="superseded"),)
    told = success_told(state, command.strategy, command.policy, candidates)
    return Accepted((*bake, started, *first_moves(state, _as_started(started))), told)


def _differing_candidate(state: ModelState, candidates: tuple[str, ...], *, allowed: bool) -> Refusal | None:
    """Return why the active version's requests cannot be given to one of the candidates, or None.

    A shadow gets them as well, and what it returns is compared.
    """
    for name in candidates:
        if differing := differing_signature(state, state.versions[name], allowed=allowed):
            return differing
    return None


def _wrong(state: ModelState, strategy: Strategy, policy: RolloutPolicy, baseline_version: str) -> str | None:
    """Return why these two cannot make a rollout of the model, or None."""
    return (
        wrong_strategy(strategy)
        or wrong_rollout_policy(policy, strategy)
        or unmeasurable(policy, strategy, baseline_version)
        or inapplicable((rule.metric for rule in policy.metrics), state)
    )


def _as_started(started: RolloutStarted) -> RolloutState:
    """Return enough of the state after the event to plan the moves that follow it."""
    epoch: Any = None  # no clock here, and no plan asks for the time
    return RolloutState(
        started.rollout_id,
        "running",
        started.strategy,
        started.policy,
        started.baseline_version,
        started.candidates,
        started.salt,
        baseline_arms(started.candidates, started.baseline_version),
        started.forced,
        epoch,
        0,
        epoch,
    )


def _advance(state: ModelState, command: AdvanceRollout) -> Decision:
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    if rollout.status == "baking":
        return not_now(state, rollout, "is baking")
    if not isinstance(rollout.strategy, ProgressiveStrategy) or rollout.step_index is None:
        return not_now(state, rollout, "has no steps to advance")
    if rollout.step is None:
        return not_now(state, rollout, "has done all its steps")
    resumed = (RolloutResumed(rollout_id=rollout.rollout_id),) if rollout.status == "paused" else ()
    by_person = command.actor != ANALYSIS_ACTOR
    moves = moves_from(state, replace(rollout, status="running"), rollout.step_index + 1, by_person=by_person)
    return Accepted((*resumed, *moves))


def _pause(state: ModelState, command: PauseRollout) -> Decision:
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    if rollout.status == "paused":
        return Accepted((), f"rollout {rollout.rollout_id!r} is paused already")
    if rollout.status == "baking":
        return not_now(state, rollout, "is baking")
    return Accepted((RolloutPaused(rollout_id=rollout.rollout_id, cause="operator"),))


def _resume(state: ModelState, command: ResumeRollout) -> Decision:
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    if rollout.status == "baking":
        return not_now(state, rollout, "is baking")
    if rollout.pause_cause == "waiting-for-promotion":
        return not_now(state, rollout, "has succeeded and waits for a person's word")
    resumed = (RolloutResumed(rollout_id=rollout.rollout_id),) if rollout.status == "paused" else ()
    if waits_until_resumed(rollout) and rollout.step_index is not None:
        moves = moves_from(state, replace(rollout, status="running"), rollout.step_index + 1, by_person=True)
        return Accepted((*resumed, *moves))
    return Accepted(resumed, None if resumed else f"rollout {rollout.rollout_id!r} is running already")


def _promote(state: ModelState, command: PromoteRollout) -> Decision:
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    in_question = (rollout.promoted_version,) if rollout.status == "baking" else rollout.candidates
    if command.model_version is None and len(in_question) > 1:
        return invalid(f"rollout {rollout.rollout_id!r} has candidates {', '.join(rollout.candidates)}: name one")
    name = command.model_version or in_question[0]
    if name is None or name not in in_question:
        candidates = ", ".join(rollout.candidates)
        return invalid(f"{name!r} is no candidate of rollout {rollout.rollout_id!r}; it has {candidates}")
    if rollout.status == "baking":
        return Accepted((RolloutBakeEnded(rollout_id=rollout.rollout_id, outcome="kept"),))
    version = state.versions[name]
    may_be_promoted = "promote" in legal_steps(state, version)
    if not may_be_promoted and not command.forced:
        return illegal(state, version, why_not_playable(version))
    return Accepted(promoting(state, rollout, name, forced=not may_be_promoted))


def _abort(state: ModelState, command: AbortRollout) -> Decision:
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    if rollout.status == "baking":
        return Accepted(rolling_back(state, rollout))
    archive = rollout.policy.auto_archive if command.archive is None else command.archive
    return Accepted(aborting(rollout, archive=archive))


def _change_strategy(state: ModelState, command: ChangeStrategy) -> Decision:
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    if rollout.status == "baking":
        return not_now(state, rollout, "is baking")
    policy = command.policy or rollout.policy
    if wrong := _wrong(state, command.strategy, policy, rollout.baseline_version):
        return invalid(wrong)
    named = command.candidates or _kept_candidates(command, rollout)
    candidates = candidates_of(command.strategy, named, rollout.baseline_version)
    if isinstance(candidates, Refusal):
        return candidates
    forced = command.forced or rollout.forced
    if unfit := unfit_candidate(state, command.strategy, candidates, forced=forced):
        return unfit
    new = tuple(name for name in candidates if name not in rollout.candidates)
    if differing := _differing_candidate(state, new, allowed=command.allow_signature_change):
        return differing
    if (command.strategy, candidates, policy) == (rollout.strategy, rollout.candidates, rollout.policy):
        return Accepted((), f"rollout {rollout.rollout_id!r} has this strategy already")
    changed = RolloutStrategyChanged(
        rollout_id=rollout.rollout_id, strategy=command.strategy, candidates=candidates, policy=policy, forced=forced
    )
    moves = first_moves(state, with_strategy(rollout, command.strategy, candidates, policy, forced=forced))
    return Accepted((changed, *moves), success_told(state, command.strategy, policy, candidates))


def _kept_candidates(command: ChangeStrategy, rollout: RolloutState) -> tuple[str, ...]:
    """Return the rollout's candidates, where the new strategy does not name others by itself."""
    strategy = command.strategy
    if isinstance(strategy, AbStrategy):
        return ()
    if isinstance(strategy, FixedStrategy):
        known = (rollout.baseline_version, *rollout.candidates)
        return rollout.candidates if strategy.model_version in known else ()
    return rollout.candidates


ROLLOUT_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    StartRollout: _start,
    AdvanceRollout: _advance,
    PauseRollout: _pause,
    ResumeRollout: _resume,
    PromoteRollout: _promote,
    AbortRollout: _abort,
    ChangeStrategy: _change_strategy,
    RecordAnalysis: record_analysis,
}
