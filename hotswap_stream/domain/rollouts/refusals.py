"""How a command on a rollout is refused: what is going on, and what would be legal."""

from hotswap_events.commands import Refusal
from hotswap_events.rollout_commands import RolloutCommand
from hotswap_events.rollout_strategy import ProgressiveStrategy
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


def not_now(state: ModelState, rollout: RolloutState, problem: str) -> Refusal:
    """Refuse what the rollout is not in a state for, and name what it is in a state for."""
    legal = legal_rollout_steps(rollout)
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
            legal=("start",) if rollout is None else (),
        )
    if command.step_index is not None and command.step_index != rollout.step_index:
        return Refusal(
            code="conflict",
            reason=f"you expected rollout {rollout.rollout_id!r} at step {command.step_index}, it is at "
            f"{'none' if rollout.step_index is None else rollout.step_index}: somebody was faster",
        )
    return rollout
