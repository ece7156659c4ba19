"""What holds for every history of triggers, whatever anybody sends, and whatever the clocks say."""

from datetime import timedelta

from hypothesis import given

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_events.training.events import TrainingRequested
from hotswap_events.training.triggers import TrainingPolicySet, TrainingSuppressed, TrainingTriggered
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.state.triggers import HISTORY_KEPT_MAX
from hotswap_stream.domain.triggers.on_way import VERDICT_SECONDS_MAX, on_way
from tests.support.histories.histories import Intent, Writer, on_way_histories, trigger_histories
from tests.support.samples.registry import EPOCH


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


@given(on_way_histories)
def test_drift_and_quality_wait_for_the_version_of_a_run_and_nothing_else_does(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        before = writer.fold.state(intent.model_name).copy()
        _command, decision = writer.handle(intent)
        events = decision.events if isinstance(decision, Accepted) else ()
        rollout = before.rollout
        in_rollout = () if rollout is None or rollout.status == "baking" else rollout.candidates
        runs = [before.runs.get(before.versions[name].run_id or "") for name in in_rollout]
        of_a_run = any(run is not None and run.request is not None for run in runs)
        for data in events:
            if isinstance(data, TrainingTriggered):
                assert not (of_a_run and data.trigger in ("drift", "quality"))
            if isinstance(data, TrainingSuppressed) and data.cause == "version-on-way":
                assert data.trigger in ("drift", "quality")


@given(on_way_histories)
def test_no_version_is_on_its_way_once_all_were_judged_and_no_rollout_goes_on(intents: list[Intent]) -> None:
    """However the history went, nothing is waited for in vain."""
    writer = Writer().handle_all(intents)
    for stream in writer.fold.streams.values():
        state = stream.state
        later = max(version.registered_at for version in state.versions.values()) if state.versions else EPOCH
        after_all = later + timedelta(seconds=VERDICT_SECONDS_MAX)
        if state.rollout is None:
            assert on_way(state, after_all) is None


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
