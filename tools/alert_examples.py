"""Examples of the commands on alerts and their policy; they continue those of the message examples."""

from collections.abc import Callable
from typing import Any

from hotswap_events.alerts.commands import (
    AcknowledgeAlert,
    ClearAlert,
    EndAlertSnooze,
    RaiseAlert,
    SetAlertPolicy,
    SnoozeAlert,
)
from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.commands import AnyCommand


def alert_commands(by_ada: Callable[..., dict[str, Any]], active: str) -> tuple[AnyCommand, ...]:
    """Return commands: a policy of two rules; the model fails too often, recovers, and stays slow."""
    return (
        SetAlertPolicy(
            **by_ada(command_id="c-a1", reason="callers wait 80 ms at most"),
            policy=AlertPolicy(
                rules=(
                    AlertRule(name="error-rate", metric="error-rate", above=0.05, severity="critical"),
                    AlertRule(name="slow", metric="latency-ms", above=50.0, quantile=0.99, for_seconds=30.0),
                )
            ),
        ),
        RaiseAlert(
            **by_ada(command_id="c-a2"),
            rule_name="error-rate",
            value=0.065,
            above=0.05,
            count=1_200,
            figures={"errors": 78.0, "model-failure": 78.0},
            model_version=active,
        ),
        ClearAlert(
            **by_ada(command_id="c-a3"),
            rule_name="error-rate",
            cause="recovered",
            value=0.002,
            figures={"errors": 2.0, "model-failure": 2.0},
        ),
        RaiseAlert(
            **by_ada(command_id="c-a4"),
            rule_name="slow",
            value=64.0,
            above=50.0,
            count=1_500,
            model_version=active,
        ),
        AcknowledgeAlert(
            **by_ada(command_id="c-a5", reason="the network is slow, the provider knows"), rule_name="slow"
        ),
        SnoozeAlert(
            **by_ada(command_id="c-a6", reason="until the provider has mended it"), rule_name="slow", seconds=7_200.0
        ),
        EndAlertSnooze(**by_ada(command_id="c-a7"), rule_name="slow"),
    )
