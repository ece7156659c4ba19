"""Examples of the commands on circuits, their policy and the off switch; they continue the message examples."""

from collections.abc import Callable
from typing import Any

from hotswap_events.commands import AnyCommand
from hotswap_events.serving.commands import (
    CloseCircuit,
    DisableModel,
    EnableModel,
    HalfOpenCircuit,
    OpenCircuit,
    SetServingPolicy,
)
from hotswap_events.serving.control import ServingPolicy


def serving_commands(by_ada: Callable[..., dict[str, Any]], active: str) -> tuple[AnyCommand, ...]:
    """Return commands: a policy that fails fast; a circuit opens, is probed, closes; the model goes off and on."""
    return (
        SetServingPolicy(
            **by_ada(command_id="c-s1", reason="answers must be quick"),
            policy=ServingPolicy(latency_ms_max=50.0, slow_share_max=0.05, fallback="none"),
        ),
        OpenCircuit(
            **by_ada(command_id="c-s2"),
            model_version=active,
            cause="error-rate",
            figures={"error_rate": 0.75, "error_rate_max": 0.5, "answers": 80.0},
            worker="worker-1",
        ),
        HalfOpenCircuit(**by_ada(command_id="c-s3", reason="open for 30 s"), model_version=active),
        CloseCircuit(
            **by_ada(command_id="c-s4"),
            model_version=active,
            cause="probes-passed",
            figures={"probes_passed": 10.0, "probes_failed": 0.0},
            worker="worker-1",
        ),
        DisableModel(**by_ada(command_id="c-s5", reason="wrong answers for everyone")),
        EnableModel(**by_ada(command_id="c-s6")),
    )
