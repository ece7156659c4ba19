"""How a command on a rollout is refused: what is going on, and what would be legal."""

from hotswap_events.commands import Refusal
from hotswap_events.rollouts.commands import RolloutCommand
from hotswap_events.rollouts.strategy import ProgressiveStrategy
from hotswap_stream.domain.deciding.legal_steps import legal_steps, ways_into_production
from hotswap_stream.domain.deciding.signatures import breaks_requests
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState, waits_until_resumed


def legal_rollout_steps(rollout: RolloutState | None) -> tuple[str, ...]:
    """Return what may be asked of the current rollout, by name.

    | status                | advance     | pause | resume              | promote | abort | set-strategy |
    |-----------------------|-------------|-------|---------------------|---------|-------|--------------|
    | none                  | only `start` is legal                                                      |
    | running               | progressive | yes   | in an endless pause | yes     | yes   | yes          |
    | paused                | progressive |       | yes                 | yes     | yes   | yes          |
    | waiting for promotion |             |       |                     | yes     | yes   | yes          |
    | baking                |             |       |                     | keep it | back  |              |
    """
    if rollout is None:
        return ("start",)
    if rollout.status == "baking":
        return ("promote", "abort", "start")
    steps: list[str] = []
    if isinstance(rollout.strategy, ProgressiveStrategy) and rollout.step is not None:
        steps.append("advance")
    if rollout.status == "running":
        steps.append("pause")
    if (rollout.status == "paused" and rollout.pause_cause != "waiting-for-promotion") or waits_until_resumed(rollout):
        steps.append("resume")
    return (*steps, "promote", "abort", "set-strategy")


def accepted_rollout_steps(state: ModelState, rollout: RolloutState | None) -> tuple[str, ...]:
    """Return the legal steps as they would be accepted now: each with what it must name or say besides.

    `start` needs an active version and another one in play; where there are none, what comes first is named instead.
    """
    if state.active_version is None:
        return ways_into_production(state)
    steps: list[str] = []
    for step in legal_rollout_steps(rollout):
        if step == "start":
            steps.append(_start_step(state))
        elif step == "promote" and rollout is not None and rollout.status != "baking":
            steps += [_promote_step(state, rollout, name) for name in rollout.candidates]
        else:
            steps.append(step)
    return tuple(steps)


def _promote_step(state: ModelState, rollout: RolloutState, model_version: str) -> str:
    named = f"promote {model_version}" if len(rollout.candidates) > 1 else "promote"
    proven = "promote" in legal_steps(state, state.versions[model_version])
    return named if proven else f"{named} with forced"


def _start_step(state: ModelState) -> str:
    """Return `start` as it would be accepted with a canary of some other version, or what must come first."""
    others = [
        version
        for version in state.versions.values()
        if version.stage not in ("production", "archived") and not version.artifact_deleted
    ]
    fit = [version for version in others if not breaks_requests(state, version)]
    if any("promote" in legal_steps(state, version) for version in fit):
        return "start"
    if fit:
        return "start with forced"
    if others:
        return "start with forced and allow_signature_change"
    back = (name for name, version in reversed(state.versions.items()) if "stage" in legal_steps(state, version))
    return next((f"stage {name}" for name in back), "register")


def not_now(state: ModelState, rollout: RolloutState, problem: str) -> Refusal:
    """Refuse what the rollout is not in a state for, and name what it is in a state for."""
    legal = accepted_rollout_steps(state, rollout)
    return Refusal(
        code="illegal-step",
        reason=f"rollout {rollout.rollout_id!r} of {state.model_name!r} {problem}; legal: {', '.join(legal)}",
        legal=legal,
    )


def current_rollout(state: ModelState, command: RolloutCommand) -> RolloutState | Refusal:
    """Return the rollout a command is about.

    Refuse the command if there is none, or if it is not the rollout, or not at the step, that was expected.
    """
    rollout, expected = state.rollout, command.rollout_id
    if rollout is None or (expected is not None and expected != rollout.rollout_id):
        now = "none is going on" if rollout is None else f"{rollout.rollout_id!r} is {rollout.status}"
        last = state.rollout_history[-1] if state.rollout_history else None
        ended = f"; the last one, {last.rollout_id!r}, was {last.status}" if rollout is None and last else ""
        return Refusal(
            code="illegal-step" if expected is None else "conflict",
            reason=f"{'no rollout' if expected is None else f'rollout {expected!r}'} of {state.model_name!r} can take "
            f"this: {now}{ended}",
            legal=accepted_rollout_steps(state, None) if rollout is None else (),
        )
    if command.step_index is not None and command.step_index != rollout.step_index:
        return Refusal(
            code="conflict",
            reason=f"you expected rollout {rollout.rollout_id!r} at step {command.step_index}, it is at "
            f"{'none' if rollout.step_index is None else rollout.step_index}: somebody was faster",
        )
    return rollout
