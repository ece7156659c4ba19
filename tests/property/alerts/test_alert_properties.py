"""What holds for alerts and their policy, whatever is asked of them."""

from hypothesis import given

from hotswap_events.alerts.events import AlertCleared, AlertPolicySet, AlertRaised
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_events.registry.events import RegistryEvent
from hotswap_stream.domain.alerts.limits import wrong_alert_policy
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import IllegalEventError, evolve
from hotswap_stream.domain.state.alerts import ALERTS_ENDED_KEPT_MAX
from hotswap_stream.domain.state.model import ModelState
from tests.support.examples import enough, fixed, try_until_enough
from tests.support.histories.alert_intents import RULES
from tests.support.histories.histories import MODELS, Intent, Writer, alert_histories
from tests.support.samples.alerts import alert_cleared, alert_raised, clear_alert, raise_alert, set_alert_policy
from tests.support.samples.registry import in_envelope


@given(alert_histories)
def test_a_rule_has_one_raised_alert_at_most_and_it_is_a_rule_in_force(intents: list[Intent]) -> None:
    """Counted from the events alone: raised and cleared alternate for each rule, and the state says the same."""
    writer = Writer().handle_all(intents)
    raised: dict[str, dict[str, int]] = {name: {} for name in MODELS}
    for record in writer.records:
        event = REGISTRY_CODEC.decode(record.value)
        assert isinstance(event, Envelope)
        open_alerts = raised[event.subject]
        if isinstance(event.data, AlertRaised):
            assert event.data.rule.name not in open_alerts
            open_alerts[event.data.rule.name] = event.sequence
        elif isinstance(event.data, AlertCleared):
            assert open_alerts.pop(event.data.rule_name) == event.data.raised_sequence
    for name in MODELS:
        alerts = writer.fold.state(name).alerts
        assert {rule: alert.sequence for rule, alert in alerts.raised.items()} == raised[name]
        assert all(alerts.rule(rule) == alert.rule for rule, alert in alerts.raised.items())
        assert wrong_alert_policy(alerts.effective_policy) is None
        assert alerts.raised_total >= len(alerts.raised) + len(alerts.ended)
        assert len(alerts.ended) <= ALERTS_ENDED_KEPT_MAX


@given(alert_histories)
def test_an_event_that_contradicts_the_alerts_raises_and_changes_nothing(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    for name in MODELS:
        state = writer.fold.state(name)
        raised = state.alerts.raised
        for rule in RULES:
            alert = raised.get(rule.name)
            assert _contradicts(state, alert_raised(rule, rule.threshold + 1)) == (alert is not None)
            since = 1 if alert is None else alert.sequence
            assert _contradicts(state, alert_cleared(rule.name, since, "recovered")) == (alert is None)
            assert _contradicts(state, alert_cleared(rule.name, since + 1, "recovered"))


def _contradicts(state: ModelState, event: RegistryEvent) -> bool:
    before = state.copy()
    try:
        evolve(state, in_envelope(event, subject=state.model_name, sequence=state.sequence + 1))
    except IllegalEventError:
        return True
    finally:
        assert state == before
    return False


@given(alert_histories)
def test_what_is_done_already_yields_nothing_under_any_id(intents: list[Intent]) -> None:
    """Two agents that see the same figures raise and clear once."""
    writer = Writer()
    for intent in intents:
        command, decision = writer.handle(intent)
        state = writer.fold.state(intent.model_name)
        if not isinstance(decision, Accepted) or not decision.events:
            continue
        event = decision.events[0]
        name = intent.model_name
        if isinstance(event, AlertRaised):
            again = decide(state, raise_alert(event.rule, event.value, model_name=name))
        elif isinstance(event, AlertCleared):
            again = decide(state, clear_alert(event.rule_name, raised_sequence=event.raised_sequence, model_name=name))
        elif isinstance(event, AlertPolicySet):
            again = decide(state, set_alert_policy(event.policy, model_name=name))
        else:
            continue
        assert isinstance(again, Accepted), (command, again)
        assert again.events == ()


def test_the_strategies_reach_what_they_are_for() -> None:
    """Random commands are worth nothing if no alert is ever raised: count over fixed examples."""
    seen: set[str] = set()
    wanted = {
        *("recovered", "operator", "rule-changed", "policy", "default", "two raised", "nothing watched"),
        *("conflict", "unknown-rule", "unknown-version", "invalid-value"),
    }

    @fixed(3_000)
    @given(alert_histories)
    def explore(intents: list[Intent]) -> None:
        writer = Writer()
        for intent in intents:
            _command, decision = writer.handle(intent)
            events = decision.events if isinstance(decision, Accepted) else ()
            seen.update({decision.code} if not isinstance(decision, Accepted) else ())
            seen.update(event.cause for event in events if isinstance(event, AlertCleared))
            alerts = writer.fold.state(intent.model_name).alerts
            seen.update({"policy"} if alerts.policy is not None else {"default"})
            seen.update({"two raised"} if len(alerts.raised) > 1 else ())
            seen.update({"nothing watched"} if not alerts.effective_policy.rules else ())
        enough(seen >= wanted)

    try_until_enough(explore)
    assert seen >= wanted
