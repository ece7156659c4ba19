"""Whether a change would leave requests without an answer that get one now: an outage that nobody announced. Pure."""

from copy import copy

from msgspec.structs import replace

from hotswap_events.commands import Refusal
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.domain.serving.request_plan import request_plan
from hotswap_stream.domain.serving.route import circuit_of
from hotswap_stream.domain.state.circuits import CircuitState
from hotswap_stream.domain.state.model import ModelState, VersionState

OPEN_DELIBERATELY = "open circuit with without_fallback"
STAND_INS_NAMED_MAX = 3


def opened(state: ModelState, version: VersionState) -> ModelState:
    """Return the state with the version's circuit open, good enough to route by."""
    circuit = replace(circuit_of(state, version), position="open")
    circuits: dict[str, CircuitState] = {**state.serving.circuits, version.model_version: circuit}
    after = copy(state)
    after.serving = replace(state.serving, circuits=circuits)
    return after


def under(state: ModelState, policy: ServingPolicy) -> ModelState:
    """Return the state with this serving policy, good enough to route by."""
    after = copy(state)
    after.serving = replace(state.serving, policy=policy)
    return after


def left_unanswered(state: ModelState, after: ModelState) -> tuple[str, ...]:
    """Return the versions whose requests are answered in the one state and not in the other.

    The off switch does not matter: what is asked is what happens once it is on again.
    """
    still = _answered(after)
    arms = {arm.model_version for arm in request_plan(after).split.arms}
    # Requests of an arm that is gone go to the active version.
    return tuple(name for name in _answered(state) if (name if name in arms else after.active_version) not in still)


def refusal_to_open(state: ModelState, version: VersionState, unanswered: tuple[str, ...]) -> Refusal:
    """Refuse to open a circuit by hand where that would be a silent outage; say what could stand in."""
    name, after = version.model_version, opened(state, version)
    if name in unanswered:
        problem = f"its requests would get no answer: {why_nothing_stands_in(after, name)}"
    else:
        problem = f"requests of {', '.join(unanswered)}, which it answers, would get no answer"
    fit = _stand_ins(after) if unanswered == (state.active_version,) else ()
    first = f"give it a stand-in by the serving policy (fallback_version: {' or '.join(fit)}), or " if fit else ""
    return Refusal(
        code="illegal-step",
        reason=f"with the circuit of {name!r} of {state.model_name!r} open, {problem}; {first}say that callers shall "
        "get errors with without_fallback (--without-fallback), or disable the model",
        legal=(*(f"set serving policy with fallback_version {other}" for other in fit), OPEN_DELIBERATELY, "disable"),
    )


def why_nothing_stands_in(state: ModelState, model_version: str) -> str:
    """Return why no other version answers for this one, as the end of a sentence."""
    policy = state.serving.effective_policy
    if model_version != state.active_version:
        return f"the active version would stand in, and {_unfit(state, state.active_version)}"
    if policy.fallback == "none":
        return "the serving policy wants no fallback"
    if policy.fallback == "version":
        itself = policy.fallback_version == model_version
        unfit = "that is the version itself" if itself else _unfit(state, policy.fallback_version)
        return f"the serving policy's fallback is {policy.fallback_version}, and {unfit}"
    if state.former_version is None:
        return "its fallback is the former version, and there is none"
    return f"its fallback is the former version, and {_unfit(state, state.former_version)}"


def _stand_ins(after: ModelState) -> tuple[str, ...]:
    """Return the versions that a policy could name as the fallback of the active one, the newest first."""
    fit = [
        other.model_version
        for other in reversed(after.versions.values())
        if other.stage not in ("archived", "production")
        and not other.artifact_deleted
        and circuit_of(after, other).position == "closed"
    ]
    return tuple(fit[:STAND_INS_NAMED_MAX])


def _answered(state: ModelState) -> dict[str, str]:
    """Return who answers for each of the versions that requests are split over."""
    on = copy(state)
    on.serving = replace(state.serving, disabled_sequence=None)
    plan = request_plan(on)
    return {
        arm.model_version: found.answered_by
        for arm, found in zip(plan.split.arms, plan.routes, strict=False)
        if found.answered_by is not None and (arm.weight > 0 or plan.split.fleet is not None)
    }


def _unfit(state: ModelState, model_version: str | None) -> str:
    version = None if model_version is None else state.versions.get(model_version)
    if version is None:
        return "there is no such version"
    if version.stage == "archived":
        return f"{version.model_version} is archived"
    return f"the circuit of {version.model_version} is {circuit_of(state, version).position}"
