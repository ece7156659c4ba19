"""What a strategy asks for: which versions, which split of the traffic, which step comes next."""

from hotswap_events.commands import Refusal
from hotswap_events.registry.events import ModelArchived, ModelRolledBack, RegistryEvent
from hotswap_events.rollouts.events import (
    MetricEvidence,
    RolloutBakeEnded,
    RolloutCompleted,
    RolloutPaused,
    RolloutStepEntered,
    RolloutWeightsSet,
)
from hotswap_events.rollouts.strategy import (
    ARMS_MAX,
    WEIGHT_TOTAL,
    AbStrategy,
    Arm,
    CanaryStrategy,
    FixedStrategy,
    ProgressiveStrategy,
    SetWeightStep,
    ShadowStrategy,
    Strategy,
)
from hotswap_stream.domain.deciding.decision import find_version, illegal, invalid, promotion, why_not_playable
from hotswap_stream.domain.deciding.legal_steps import legal_steps
from hotswap_stream.domain.rollouts.automatic import person_needed
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState, baseline_arms

Events = tuple[RegistryEvent, ...]


def candidates_of(strategy: Strategy, named: tuple[str, ...], baseline_version: str) -> tuple[str, ...] | Refusal:
    """Return the versions tried against the baseline, in order."""
    if isinstance(strategy, AbStrategy):
        in_arms = tuple(arm.model_version for arm in strategy.arms if arm.model_version != baseline_version)
        if named and set(named) != set(in_arms):
            return invalid(f"the arms try {', '.join(in_arms)}, candidates name {', '.join(named)}: leave them out")
        return in_arms
    if isinstance(strategy, FixedStrategy) and strategy.model_version not in (baseline_version, *named):
        if named:
            return invalid(f"{strategy.model_version!r} is neither the baseline nor a candidate")
        return (strategy.model_version,)
    if not named:
        return invalid("name the candidate: the version to try against the one in production")
    if len(set(named)) != len(named):
        return invalid(f"candidates {', '.join(named)} name a version twice")
    if len(named) >= ARMS_MAX:
        return invalid(f"{len(named)} candidates; at most {ARMS_MAX - 1} are allowed")
    if len(named) > 1 and not isinstance(strategy, ShadowStrategy | FixedStrategy):
        return invalid(f"candidates {', '.join(named)}: this strategy takes one; ab and shadow take several")
    return named


def unfit_candidate(
    state: ModelState, strategy: Strategy, candidates: tuple[str, ...], *, forced: bool
) -> Refusal | None:
    """Return why one of the candidates may not be tried like this, or None.

    Traffic needs a passed validation, or force.
    """
    on_baseline = isinstance(strategy, FixedStrategy) and strategy.model_version not in candidates
    gives_traffic = not on_baseline and not isinstance(strategy, ShadowStrategy)
    for name in candidates:
        version = find_version(state, name)
        if isinstance(version, Refusal):
            return version
        if version.stage == "production":
            return illegal(state, version, "is in production, so it is the baseline and not a candidate")
        if version.artifact_deleted:
            return illegal(state, version, "has lost its artifact to a clean-up")
        if version.stage == "archived":
            stageable = "stage" in legal_steps(state, version)
            return illegal(state, version, "is archived; stage it first" if stageable else why_not_playable(version))
        verdict = None if version.validation is None else version.validation.verdict
        fit = "promote" in legal_steps(state, version) if gives_traffic else verdict != "failed"
        if not fit and not forced:
            return illegal(state, version, f"{why_not_playable(version)}; it can be shadowed or forced")
    return None


def arms_of(strategy: Strategy, rollout: RolloutState) -> tuple[Arm, ...]:
    """Return the split the strategy asks for at once: baseline first. A progressive one leaves it to its steps."""
    names = (rollout.baseline_version, *rollout.candidates)
    if isinstance(strategy, ProgressiveStrategy):
        return rollout.arms
    if isinstance(strategy, CanaryStrategy):
        return canary_arms(rollout, strategy.weight)
    if isinstance(strategy, AbStrategy):
        weights = {arm.model_version: arm.weight for arm in strategy.arms}
    elif isinstance(strategy, FixedStrategy):
        weights = {strategy.model_version: WEIGHT_TOTAL}
    else:
        return baseline_arms(rollout.candidates, rollout.baseline_version)
    return tuple(Arm(model_version=name, weight=weights.get(name, 0)) for name in names)


def canary_arms(rollout: RolloutState, weight: int) -> tuple[Arm, ...]:
    """Return the split that gives the one candidate `weight` of 10,000."""
    return (
        Arm(model_version=rollout.baseline_version, weight=WEIGHT_TOTAL - weight),
        Arm(model_version=rollout.candidates[0], weight=weight),
    )


def first_moves(state: ModelState, rollout: RolloutState) -> Events:
    """Return what follows a start or a change of strategy at once. `rollout` is as it is after that event."""
    if isinstance(rollout.strategy, ProgressiveStrategy):
        return moves_from(state, rollout, 0)
    return _weights(rollout, arms_of(rollout.strategy, rollout))


def moves_from(
    state: ModelState,
    rollout: RolloutState,
    step_index: int,
    evidence: tuple[MetricEvidence, ...] = (),
    *,
    by_person: bool = False,
) -> Events:
    """Enter a step of a progressive rollout and, while it is a weight, the next one; after the last, promote.

    `by_person`: somebody sent it there, and knows what comes after the last step.
    """
    strategy, arms = rollout.strategy, rollout.arms
    if not isinstance(strategy, ProgressiveStrategy):
        raise TypeError(f"rollout {rollout.rollout_id} has no steps")
    events: list[RegistryEvent] = []
    for index in range(step_index, len(strategy.steps)):
        events.append(RolloutStepEntered(rollout_id=rollout.rollout_id, step_index=index))
        step = strategy.steps[index]
        if not isinstance(step, SetWeightStep):
            return tuple(events)
        wanted = canary_arms(rollout, step.weight)
        if wanted != arms:
            arms = wanted
            events.append(RolloutWeightsSet(rollout_id=rollout.rollout_id, arms=arms))
    ending = success(state, rollout, rollout.candidates[0], evidence, by_person=by_person)
    if not ending or not isinstance(ending[0], RolloutCompleted):
        events.append(RolloutStepEntered(rollout_id=rollout.rollout_id, step_index=len(strategy.steps)))
    return (*events, *ending)


def success(
    state: ModelState,
    rollout: RolloutState,
    model_version: str,
    evidence: tuple[MetricEvidence, ...],
    *,
    by_person: bool = False,
) -> Events:
    """Return what follows when the candidate has shown itself: its promotion, or the wait for a person."""
    if person_needed(state, rollout.strategy, rollout.policy, model_version, by_person=by_person) is None:
        return promoting(state, rollout, model_version, evidence, forced=False)
    if rollout.status == "paused":
        return ()
    return (RolloutPaused(rollout_id=rollout.rollout_id, cause="waiting-for-promotion"),)


def promoting(
    state: ModelState,
    rollout: RolloutState,
    model_version: str,
    evidence: tuple[MetricEvidence, ...] = (),
    *,
    forced: bool,
) -> Events:
    """Return the end of the rollout and the promotion, in one decision."""
    completed = RolloutCompleted(
        rollout_id=rollout.rollout_id,
        outcome="promoted",
        model_version=model_version,
        bake_seconds=rollout.policy.bake_seconds,
        evidence=evidence,
    )
    return completed, promotion(state, state.versions[model_version], forced=forced)


def aborting(
    rollout: RolloutState,
    evidence: tuple[MetricEvidence, ...] = (),
    *,
    archive: bool,
    only: str | None = None,
) -> Events:
    """Return the end of the rollout.

    All traffic back to the baseline, and the candidates archived (`only` one, if named).
    """
    harmful = (only,) if only is not None else rollout.candidates
    archived = tuple(ModelArchived(model_version=name) for name in harmful if archive)
    return (RolloutCompleted(rollout_id=rollout.rollout_id, outcome="aborted", evidence=evidence), *archived)


def rolling_back(state: ModelState, rollout: RolloutState, evidence: tuple[MetricEvidence, ...] = ()) -> Events:
    """Return the end of a bake that showed harm: the baseline again, at once."""
    back = ModelRolledBack(
        model_version=rollout.baseline_version,
        artifact_digest=state.versions[rollout.baseline_version].artifact.digest,
        from_version=rollout.promoted_version or "",
        cause="rollout",
    )
    return RolloutBakeEnded(rollout_id=rollout.rollout_id, outcome="rolled-back", evidence=evidence), back


def _weights(rollout: RolloutState, arms: tuple[Arm, ...]) -> Events:
    return () if arms == rollout.arms else (RolloutWeightsSet(rollout_id=rollout.rollout_id, arms=arms),)
