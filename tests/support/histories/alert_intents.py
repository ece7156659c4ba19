"""Commands on alerts and their policy for the random histories."""

from random import Random
from typing import Any

from msgspec.structs import replace

from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.commands import AnyCommand
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.alerts import (
    DRIFTED,
    FAILING,
    QUIET,
    SLOW,
    WAITING,
    WORSE,
    clear_alert,
    raise_alert,
    set_alert_policy,
)

RULES = (SLOW, FAILING, DRIFTED, WAITING, WORSE, QUIET, *DEFAULT_ALERT_POLICY.rules)


def alert_command(state: ModelState, seed: int, **attributes: Any) -> AnyCommand:
    """One command, mostly on a rule that is in force; `seed` draws which."""
    random = Random(seed)
    in_force = state.alerts.effective_policy.rules
    rule = random.choice(in_force) if in_force and random.random() < 0.9 else random.choice(RULES)
    match random.randrange(10):
        case 0:
            return set_alert_policy(_policy(random), **attributes)
        case 1 | 2 | 3 | 4 | 5:
            side = "below" if rule.falling else "above"
            given = {side: rule.threshold / 2} if random.random() < 0.1 else {}
            far = random.choice((0.5, 1.5, 1.5, 1.5, 3.0))
            value = rule.threshold / far if rule.falling else rule.threshold * far
            name = random.choice((None, *state.versions, "v9"))
            return raise_alert(rule, value, count=random.randrange(9), model_version=name, **given, **attributes)
    alert = state.alerts.raised.get(rule.name)
    if alert is not None and random.random() < 0.7:
        attributes["raised_sequence"] = alert.sequence - (random.random() < 0.1)
    cause: Any = random.choice(("recovered", "operator"))
    return clear_alert(rule.name, cause, value=rule.threshold / 2, **attributes)


def _policy(random: Random) -> AlertPolicy:
    rules: list[AlertRule] = random.sample(RULES, random.randrange(4))
    if rules and random.random() < 0.3:
        side = "below" if rules[0].falling else "above"
        rules[0] = replace(rules[0], **{side: rules[0].threshold * random.choice((0.25, 0.5))})
    if rules and random.random() < 0.1:
        rules.append(rules[0])
    return AlertPolicy(rules=tuple(rules))
