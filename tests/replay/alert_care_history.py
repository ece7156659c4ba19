"""The part of a release's history in which people care for alerts: they acknowledge them, and snooze their rules."""

from hotswap_events.alerts.events import AlertPolicy
from tests.replay.rollout_history import Sender
from tests.support.samples.alerts import (
    FAILING,
    SLOW,
    acknowledge_alert,
    clear_alert,
    end_alert_snooze,
    raise_alert,
    set_alert_policy,
    snooze_alert,
)
from tests.support.samples.registry import register


async def alert_care(writers: Sender) -> None:
    """Acknowledged, snoozed while raised and before, ended in all three ways; cleared for a time of its own."""
    await writers.send(
        register("v1"),
        set_alert_policy(AlertPolicy(rules=(SLOW, FAILING))),
        raise_alert(SLOW, 64.0, count=1_500),
        acknowledge_alert("slow", reason="the provider knows"),
        acknowledge_alert("slow", actor="bob", raised_sequence=3),
        snooze_alert("slow", 3_600.0, reason="until it is mended"),
        snooze_alert("failing", 60.0),
        raise_alert(FAILING, 0.5, count=1_000),
        clear_alert("failing", "recovered", value=0.0),
        raise_alert(FAILING, 0.2, count=1_000),
        end_alert_snooze("failing", cause="over", snoozed_sequence=7),
        end_alert_snooze("slow", reason="mended"),
        clear_alert("failing", keep_away_seconds=60.0, reason="a known bad batch"),
        snooze_alert("failing", 120.0),
        set_alert_policy(AlertPolicy(rules=(SLOW,))),
        end_alert_snooze("failing", cause="rule-gone"),
    )
