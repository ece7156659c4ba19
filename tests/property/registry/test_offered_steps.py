"""What a refusal offers is what it says: each step it names is accepted in the state that it was refused in."""

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand, Refusal
from hotswap_events.rollouts.commands import ChangeStrategy, StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy
from hotswap_events.serving.commands import SetServingPolicy
from hotswap_events.training.triggers import FireTrigger, SuppressTrigger
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.state.model import ModelState
from tests.support.examples import enough, fixed, try_until_enough
from tests.support.histories.histories import Intent, Writer, all_histories, signed_histories
from tests.support.samples.registry import (
    archive,
    promote,
    register,
    roll_back,
    stage,
    start_training,
    switch,
    validate,
)
from tests.support.samples.rollouts import (
    abort_rollout,
    advance_rollout,
    change_strategy,
    fleet,
    pause_rollout,
    promote_rollout,
    resume_rollout,
    start_rollout,
)
from tests.support.samples.serving import (
    close_circuit,
    disable,
    half_open_circuit,
    open_circuit,
    set_serving_policy,
)
from tests.support.samples.training import cancel, request
from tests.support.samples.triggers import fire, set_training_policy

NAMES_ONLY = frozenset({"unknown-version", "unknown-rule", "unknown-rollout"})
"""Refusals with these codes offer names that exist, not steps."""


@given(all_histories | signed_histories)
def test_each_step_that_a_refusal_offers_is_accepted(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        state = writer.fold.state(intent.model_name).copy()
        command, decision = writer.handle(intent)
        if isinstance(decision, Refusal) and decision.code not in NAMES_ONLY:
            assert_offers_hold(state, command, decision)


def assert_offers_hold(state: ModelState, refused: AnyCommand, refusal: Refusal) -> set[str]:
    """Send each step that is offered, as it is offered; return them."""
    for offered in refusal.legal:
        tried = [decide(state, command) for command in commands_offered(state, refused, offered)]
        assert any(isinstance(decision, Accepted) for decision in tried), (offered, refused, refusal, tried)
    return set(refusal.legal)


def commands_offered(state: ModelState, refused: AnyCommand, offered: str) -> list[AnyCommand]:
    """Return the step as a command with the arguments of the refused one; several where it leaves some to choose."""
    step, _, needed = offered.partition(" with ")
    fields: dict[str, Any] = {"model_name": state.model_name, "command_id": "offered"}
    policy_step = re.fullmatch(r"set serving policy with fallback_version (\S+)", offered)
    if policy_step is not None:
        policy = replace(state.serving.effective_policy, fallback="version", fallback_version=policy_step[1])
        return [set_serving_policy(policy, **fields)]
    if isinstance(refused, FireTrigger | SuppressTrigger):
        return _towards_a_run(state, refused, offered, fields)
    flags = {flag: True for flag in needed.split(" and ") if flag}
    in_rollout = "Rollout" in type(refused).__name__ or type(refused).__name__ in ("RecordAnalysis", "ChangeStrategy")
    verb, names = step, _named_in(refused, state)
    if (match := re.fullmatch(r"(roll back from|switch to|promote|stage|reset circuit of) (\S+)", step)) is not None:
        verb, names = re.sub(" (from|to|of)$", "", match[1]), [match[2]]
    if verb == "promote" and in_rollout and state.rollout is not None:
        tried = state.rollout.candidates if step == "promote" else names
        baking = state.rollout.status == "baking"
        return [promote_rollout(model_version=None if baking else name, **flags, **fields) for name in tried]
    if verb in ("start", "set-strategy"):
        return _of_any_candidate(state, verb, flags, fields)
    return [_command(state, verb, name, flags, fields) for name in names]


def _towards_a_run(
    state: ModelState, refused: FireTrigger | SuppressTrigger, offered: str, fields: dict[str, Any]
) -> list[AnyCommand]:
    """Return what starts a run where a trigger does not."""
    by_hand: dict[str, Any] = {"override": True, "reason": "now", "slot": "offered", "at": refused.at}
    steps: dict[str, Callable[[], list[AnyCommand]]] = {
        "set a training policy": lambda: [set_training_policy(**fields)],
        "request a training run": lambda: [request("run-offered", **fields)],
        "cancel the run": lambda: [cancel(run.run_id, **fields) for run in state.runs.values() if run.is_open],
        "fire hand with override and reason": lambda: [fire("hand", **by_hand, **fields)],
    }
    return steps[offered]()


def _named_in(refused: AnyCommand, state: ModelState) -> list[str]:
    """Return the versions that the refused command is about."""
    if (name := getattr(refused, "model_version", None)) is not None:
        return [name]
    if isinstance(refused, SetServingPolicy):
        circuits = state.serving.circuits.items()
        open_ones = [name for name, circuit in circuits if circuit.position != "closed"]
        return [*filter(None, (refused.policy.fallback_version,)), *open_ones] or ["v1"]
    if isinstance(refused, StartRollout | ChangeStrategy):
        return [name for name in state.versions if name in str(refused)] or ["v1"]
    return list(state.rollout.candidates) if state.rollout is not None else list(state.versions)[:1] or ["v1"]


def _command(state: ModelState, verb: str, name: str, flags: dict[str, Any], fields: dict[str, Any]) -> AnyCommand:
    baseline = None if state.active_version is None else (state.active_version, 0.97)
    plain: dict[str, Callable[[], AnyCommand]] = {
        "validate": lambda: validate(name, baseline=baseline, **fields),
        "stage": lambda: stage(name, **fields),
        "promote": lambda: promote(name, **flags, **fields),
        "switch": lambda: switch(name, **flags, **fields),
        "archive": lambda: archive(name, **fields),
        "roll back": lambda: roll_back(from_version=name, **fields),
        "register": lambda: register(None, **fields),
        "register a version": lambda: register(None, **fields),
        "start a training run": lambda: start_training("run-offered", **fields),
        "open circuit": lambda: open_circuit(name, **flags, **fields),
        "half-open circuit": lambda: half_open_circuit(name, **fields),
        "reset circuit": lambda: close_circuit(name, **fields),
        "disable": lambda: disable(**fields),
        "advance": lambda: advance_rollout(**fields),
        "pause": lambda: pause_rollout(**fields),
        "resume": lambda: resume_rollout(**fields),
        "abort": lambda: abort_rollout(**fields),
    }
    assert verb in plain, f"nobody knows the step {verb!r}"
    return plain[verb]()


def _of_any_candidate(state: ModelState, verb: str, flags: dict[str, Any], fields: dict[str, Any]) -> list[AnyCommand]:
    others = [name for name in state.versions if name != state.active_version]
    if verb == "start":
        return [start_rollout(CanaryStrategy(weight=100), name, **flags, **fields) for name in others]
    assert state.rollout is not None
    return [
        change_strategy(fleet(1, "worker-9"), name, forced=True, allow_signature_change=True, **fields)
        for name in state.rollout.candidates
    ]


def test_the_histories_reach_what_needs_more_than_its_name() -> None:
    """The property is worth nothing if refusals only ever offer the plain steps: count over fixed examples."""
    seen: set[str] = set()
    wanted = {
        "with allow_signature_change",
        "with forced",
        "with without_fallback",
        "with fallback_version",
        "start",
        "register",
        "promote v",
        "switch to",
    }

    @fixed(10_000)
    @given(all_histories | signed_histories)
    def explore(intents: list[Intent]) -> None:
        writer = Writer()
        for intent in intents:
            _, decision = writer.handle(intent)
            if isinstance(decision, Refusal) and decision.code not in NAMES_ONLY:
                seen.update(part for part in wanted for offered in decision.legal if part in offered)
        enough(seen >= wanted)

    try_until_enough(explore)
    assert seen == wanted
