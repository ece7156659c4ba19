"""Events of circuits, their policy and the off switch in a few words for people."""

from collections.abc import Callable
from typing import Any

from hotswap_events.serving.control import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ModelDisabled,
    ModelEnabled,
    ServingPolicy,
    ServingPolicySet,
)

_CLOSED_BECAUSE = {"probes-passed": "its probes passed", "operator": "reset by hand"}


def describe_policy(policy: ServingPolicy) -> str:
    """Return `failures above 0.5 of 50 or more answers in 30 s open a circuit for 30 s, then 10 probes; …`."""
    limits = []
    if policy.error_rate_max is not None:
        limits.append(f"failures above {policy.error_rate_max:.4g}")
    if policy.latency_ms_max is not None:
        limits.append(f"answers over {policy.latency_ms_max:g} ms above {policy.slow_share_max:.4g}")
    if not limits:
        opens = "circuits open by hand alone"
    else:
        opens = (
            f"{' or '.join(limits)} of {policy.answers_min:,} or more answers in {policy.window_seconds:g} s open a "
            f"circuit for {policy.open_seconds:g} s, then {policy.probes:,} probes"
        )
    return f"{opens}; {_fallback(policy)}"


def _fallback(policy: ServingPolicy) -> str:
    match policy.fallback:
        case "former":
            return "the former version stands in"
        case "version":
            return f"{policy.fallback_version} stands in"
        case _:
            return "nothing stands in"


def _policy_set(data: ServingPolicySet, model: str) -> str:
    return f"set the serving policy of {model}: {describe_policy(data.policy)}"


def _opened(data: CircuitOpened, model: str) -> str:
    measured = ", ".join(f"{name} {value:.4g}" for name, value in sorted(data.figures.items()))
    facts = [data.cause, *([measured] if measured else []), *([f"by {data.worker}"] if data.worker else [])]
    return f"opened the circuit of {data.model_version} of {model} ({', '.join(facts)})"


def _half_opened(data: CircuitHalfOpened, model: str) -> str:
    return f"half-opened the circuit of {data.model_version} of {model}"


def _closed(data: CircuitClosed, model: str) -> str:
    by = f", by {data.worker}" if data.worker else ""
    return f"closed the circuit of {data.model_version} of {model} ({_CLOSED_BECAUSE[data.cause]}{by})"


def _disabled(_data: ModelDisabled, model: str) -> str:
    return f"disabled {model}"


def _enabled(_data: ModelEnabled, model: str) -> str:
    return f"enabled {model}"


SERVING_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    ServingPolicySet: _policy_set,
    CircuitOpened: _opened,
    CircuitHalfOpened: _half_opened,
    CircuitClosed: _closed,
    ModelDisabled: _disabled,
    ModelEnabled: _enabled,
}
