"""Commands on circuits, their policy and the off switch for the random histories."""

from random import Random
from typing import Any

from hotswap_events.commands import AnyCommand
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.domain.serving.route import circuit_of
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.serving import (
    FIGURES,
    close_circuit,
    disable,
    enable,
    half_open_circuit,
    open_circuit,
    set_serving_policy,
)


def serving_command(state: ModelState, seed: int, **attributes: Any) -> AnyCommand:
    """One command, mostly on the active version; `seed` draws which."""
    random = Random(seed)
    names = (*state.versions, "v9")
    active = state.active_version
    name = active if active is not None and random.random() < 0.7 else random.choice(names)
    known = state.versions.get(name)
    if known is not None and random.random() < 0.5:
        since = circuit_of(state, known).since_sequence if random.random() < 0.8 else random.randrange(1, 20)
        attributes["since_sequence"] = since
    match random.randrange(12):
        case 0 | 1 | 2:
            cause = random.choice(("error-rate", "latency", "probe-failed"))
            return open_circuit(name, cause, figures=FIGURES, worker="worker-1", **attributes)  # type: ignore[arg-type]
        case 3:
            return open_circuit(name, **attributes)
        case 4 | 5 | 6:
            return half_open_circuit(name, **attributes)
        case 7 | 8:
            return close_circuit(name, "probes-passed", **attributes)
        case 9:
            return close_circuit(name, **attributes)
    attributes.pop("since_sequence", None)
    if random.random() < 0.5:
        return set_serving_policy(_policy(random, names), **attributes)
    return disable(**attributes) if random.random() < 0.4 else enable(**attributes)


def _policy(random: Random, names: tuple[str, ...]) -> ServingPolicy:
    fallback: Any = random.choice(("former", "version", "none"))
    named = random.choice(names) if (fallback == "version") != (random.random() < 0.1) else None
    return ServingPolicy(
        error_rate_max=random.choice((None, 0.1, 0.5)),
        answers_min=random.choice((1, 50, 20_000)),
        fallback=fallback,
        fallback_version=named,
    )
