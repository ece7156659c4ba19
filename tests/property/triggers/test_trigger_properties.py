"""What holds for every history of triggers, whatever anybody sends, and whatever the clocks say."""

from hypothesis import given

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_events.training import TrainingRequested
from hotswap_events.training_triggers import TrainingPolicySet, TrainingSuppressed, TrainingTriggered
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.state.triggers import HISTORY_KEPT_MAX
from tests.support.histories.histories import Intent, Writer, trigger_histories


def _events(writer: Writer) -> list[Envelope]:
    events = [REGISTRY_CODEC.decode(record.value) for record in writer.records]
    return [event for event in events if isinstance(event, Envelope)]


@given(trigger_histories)
def test_no_slot_fires_twice_and_each_firing_is_followed_by_its_request(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    events, seen = _events(writer), set()
    for event, following in zip(events, [*events[1:], None], strict=False):
        if isinstance(event.data, TrainingTriggered):
            slot = event.subject, event.data.trigger, event.data.slot
            assert slot not in seen
            seen.add(slot)
            assert following is not None
            assert isinstance(following.data, TrainingRequested)
            assert following.data.run_id == event.data.run_id
            assert following.causationid == event.causationid


@given(trigger_histories)
def test_a_trigger_starts_nothing_while_a_run_is_on(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        before = writer.fold.state(intent.model_name).copy()
        _command, decision = writer.handle(intent)
        fired = isinstance(decision, Accepted) and any(isinstance(data, TrainingTriggered) for data in decision.events)
        on = [run for run in before.runs.values() if run.is_open and run.request is not None]
        assert not (fired and on)


@given(trigger_histories)
def test_a_command_sent_again_changes_nothing(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        command, decision = writer.handle(intent)
        if isinstance(decision, Accepted) and decision.events:
            again = decide(writer.fold.state(intent.model_name), command)
            assert isinstance(again, Accepted)
            assert again.events == ()


@given(trigger_histories)
def test_a_cause_is_said_once_until_a_trigger_fires(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    said: dict[str, set[tuple[str, str]]] = {}
    for event in _events(writer):
        if isinstance(event.data, TrainingSuppressed):
            cause = event.data.trigger, event.data.cause
            assert cause not in said.setdefault(event.subject, set())
            said[event.subject].add(cause)
        elif isinstance(event.data, TrainingTriggered | TrainingPolicySet):
            said[event.subject] = set()


@given(trigger_histories)
def test_what_is_kept_has_a_limit(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    for stream in writer.fold.streams.values():
        assert len(stream.state.triggers.history) <= HISTORY_KEPT_MAX
