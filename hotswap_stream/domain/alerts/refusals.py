"""How a command on an alert is refused: which rules there are, and which alert it is."""

from hotswap_events.commands import Refusal
from hotswap_stream.domain.state.alerts import RaisedAlert
from hotswap_stream.domain.state.model import ModelState


def unknown_rule(state: ModelState, rule_name: str) -> Refusal:
    """Refuse what names no rule in force, and list those that are."""
    names = tuple(rule.name for rule in state.alerts.effective_policy.rules)
    return Refusal(
        code="unknown-rule",
        reason=f"the alert policy of {state.model_name!r} has no rule {rule_name[:100]!r}; it has "
        f"{', '.join(names) or 'none'}",
        legal=names,
    )


def other_alert(rule_name: str, asked: int | None, alert: RaisedAlert) -> Refusal:
    """Refuse what was meant for an alert of this rule that was raised elsewhere."""
    return Refusal(
        code="conflict",
        reason=f"asked about the alert {rule_name!r} raised at sequence {asked}, but this one was raised at "
        f"{alert.sequence}",
    )
