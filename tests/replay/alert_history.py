"""The part of a release's history that has every event of alerts and of their policy."""

from msgspec.structs import replace

from hotswap_events.alerts.events import AlertPolicy
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from tests.replay.rollout_history import Sender
from tests.support.samples.alerts import (
    DRIFTED,
    FAILING,
    FIGURES,
    NOTHING,
    QUIET,
    SLOW,
    WAITING,
    WORSE,
    clear_alert,
    raise_alert,
    set_alert_policy,
)
from tests.support.samples.registry import promote, register, switch, validate

_ERRORS, _LAG, _DRIFT, *_ = DEFAULT_ALERT_POLICY.rules


async def alerts(writers: Sender) -> None:
    """Raised under the default policy and under others, recovered, ended by hand and by the change of their rule."""
    await writers.send(
        register("v1"),
        validate("v1", promote_first=True),
        raise_alert(_LAG, 25_000.0, count=8, figures={"partition.0": 24_000.0}, model_version="v1"),
        raise_alert(_ERRORS, 0.25, count=80, figures=FIGURES),
        clear_alert("lag", "recovered", value=12.0, figures={"partition.0": 12.0}, raised_sequence=4),
        # ends error-rate, whose rule is another one there
        set_alert_policy(AlertPolicy(rules=(SLOW, FAILING, replace(_ERRORS, above=0.5))), reason="callers wait 80 ms"),
        raise_alert(SLOW, 64.0, count=1_500, model_version="v1", reason="for ten seconds"),
        register("v2"),
        validate("v2", 0.98, ("v1", 0.97)),
        promote("v2"),
        raise_alert(FAILING, 0.065, count=1_200, figures=FIGURES, model_version="v2"),
        clear_alert("failing", reason="a known bad batch"),
        raise_alert(FAILING, 0.5, count=1_000, model_version="v2"),
        # ends failing, keeps slow
        set_alert_policy(AlertPolicy(rules=(SLOW, DRIFTED, WAITING))),
        raise_alert(DRIFTED, 0.4, count=4_000, figures={"input.0": 0.4, "input.1": 0.02}, model_version="v2"),
        raise_alert(WAITING, 9_000.0, count=8),
        register("v1", model_name="faces"),
        switch("v1", model_name="faces"),
        raise_alert(_DRIFT, 0.9, model_name="faces"),
        set_alert_policy(NOTHING, model_name="faces"),
    )


async def falling_alerts(writers: Sender) -> None:
    """Rules on figures that fall, beside one on a figure that rises: raised, recovered, and ended by a change."""
    await writers.send(
        register("v1"),
        validate("v1", promote_first=True),
        set_alert_policy(AlertPolicy(rules=(WORSE, QUIET, SLOW)), reason="nobody asks at night, and labels come late"),
        raise_alert(WORSE, 0.85, count=400, figures={"accuracy.v1": 0.85}, model_version="v1"),
        raise_alert(QUIET, 0.0, model_version="v1"),
        raise_alert(SLOW, 64.0, count=1_500, model_version="v1"),
        clear_alert("quiet", "recovered", value=12.5),
        # ends worse, which falls elsewhere now
        set_alert_policy(AlertPolicy(rules=(replace(WORSE, below=0.8), QUIET, SLOW))),
        raise_alert(replace(WORSE, below=0.8), 0.5, count=400),
        clear_alert("worse", reason="labels of another task"),
    )
