"""Commands on rollouts for the random histories: most of them make sense in the state they meet."""

from random import Random
from typing import Any

from hotswap_events.commands import AnyCommand
from hotswap_events.rollouts.strategy import CanaryStrategy, RolloutPolicy, Strategy
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.rollouts import (
    EVIDENCE,
    SHADOW,
    ab,
    abort_rollout,
    advance_rollout,
    analysis,
    change_strategy,
    delete_artifact,
    fixed,
    fleet,
    pause_rollout,
    pause_step,
    progressive,
    promote_rollout,
    record_analysis,
    resume_rollout,
    set_validation_policy,
    set_weight,
    start_rollout,
)


def rollout_command(state: ModelState, seed: int, **attributes: Any) -> AnyCommand:
    """One command on the model's rollout; `seed` draws which."""
    random = Random(seed)
    rollout = state.rollout
    if rollout is None:
        if random.random() < 0.15:
            return _other(state, random, attributes)
        return _start(state, random, attributes)
    expected: dict[str, Any] = {}
    if random.random() < 0.3:
        expected["rollout_id"] = random.choice((rollout.rollout_id, "r1", "r9"))
    if random.random() < 0.3:
        expected["step_index"] = random.choice((rollout.step_index, 0, 1))
    kinds = (5, 6, 6, 9, 10, 10) if rollout.status == "baking" else range(12)
    match random.choice(kinds):
        case 0 | 1 | 2:
            return advance_rollout(**expected, **attributes)
        case 3:
            return pause_rollout(**expected, **attributes)
        case 4:
            return resume_rollout(**expected, **attributes)
        case 5:
            name = random.choice((None, *rollout.candidates))
            return promote_rollout(model_version=name, forced=random.random() < 0.3, **expected, **attributes)
        case 6:
            return abort_rollout(archive=random.choice((None, True, False)), **expected, **attributes)
        case 7:
            strategy, named = _strategy(state, random)
            forced = random.random() < 0.5
            return change_strategy(strategy, *named, forced=forced, **expected, **attributes)
        case 8:
            return _other(state, random, attributes)
        case 9:
            return _start(state, random, attributes)
        case _:
            return record_analysis(
                random.choice(("successful", "successful", "successful", "inconclusive", "failed")),
                rollout.watermark + random.randrange(3),
                evidence=EVIDENCE if random.random() < 0.5 else (),
                model_version=random.choice((None, *rollout.candidates)),
                **expected,
                **attributes,
            )


def _start(state: ModelState, random: Random, attributes: dict[str, Any]) -> AnyCommand:
    strategy, named = _strategy(state, random)
    policy = RolloutPolicy(
        auto_promote=random.random() < 0.6,
        auto_archive=random.random() < 0.5,
        bake_seconds=random.choice((0, 60)),
        on_inconclusive=random.choice(("pause", "proceed", "abort")),
    )
    return start_rollout(strategy, *named, policy=policy, forced=random.random() < 0.6, **attributes)


def _strategy(state: ModelState, random: Random) -> tuple[Strategy, tuple[str, ...]]:
    others = [
        name
        for name, version in state.versions.items()
        if name != state.active_version and (version.stage != "archived" or random.random() < 0.1)
    ]
    first, *rest = random.sample(others, min(len(others), 2)) or ("v9",)
    weight = random.choice((0, 100, 500, 2_500, 10_000))
    match random.randrange(7):
        case 0:
            return CanaryStrategy(weight=weight), (first,)
        case 1:
            return SHADOW, (first, *rest)
        case 2:
            names = (state.active_version or "v1", first, *rest)
            return ab(**{names[0]: 10_000 - weight, names[1]: weight, **dict.fromkeys(names[2:], 0)}), ()
        case 3:
            if not others:
                return fixed("v9"), ()
            return fixed(random.choice((first, state.active_version or first))), (first,)
        case 4:
            return fleet(weight, "worker-1"), (first,)
        case _:
            steps = (set_weight(weight), analysis(), pause_step(60), set_weight(10_000), pause_step(), analysis())
            kept = tuple(step for step in steps if random.random() < 0.7)
            return progressive(*kept), (first,)


def _other(state: ModelState, random: Random, attributes: dict[str, Any]) -> AnyCommand:
    if random.random() < 0.3:
        policy = random.choice(
            (ValidationPolicy(), ValidationPolicy(pass_margin=0.0), ValidationPolicy(fail_margin=0.0))
        )
        return set_validation_policy(policy, **attributes)
    return delete_artifact(random.choice((*state.versions, "v9")), **attributes)
