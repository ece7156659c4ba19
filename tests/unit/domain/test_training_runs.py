"""Training runs: who may ask, who gets a run, and that a run which ended takes nothing more."""

from typing import Any

import pytest

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, Refusal
from hotswap_events.registry.events import RegistryEvent, TrainingFailed
from hotswap_events.rollouts.strategy import AbStrategy
from hotswap_events.training.events import (
    PARAMETERS_MAX,
    AfterRollout,
    AskedAgain,
    TrainingCancelled,
    TrainingClaimed,
    TrainingRequested,
)
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.runs import RUNS_ENDED_KEPT_MAX
from hotswap_stream.domain.training.rules import RUNS_OPEN_MAX
from tests.support.samples.registry import MODEL, fail_training, in_envelope, register, start_training
from tests.support.samples.training import CANARY, DATASET, cancel, claim, request


class Story:
    """One model, told by commands."""

    def __init__(self, *commands: AnyCommand) -> None:
        self.state = ModelState(MODEL)
        for command in commands:
            assert self.send(command), command

    def send(self, command: AnyCommand) -> tuple[RegistryEvent, ...]:
        decision = decide(self.state, command)
        assert isinstance(decision, Accepted), decision
        for event in decision.events:
            self.fold(event, command.command_id)
        return decision.events

    def fold(self, event: RegistryEvent, command_id: str = "by-hand") -> None:
        number = self.state.sequence + 1
        envelope = in_envelope(event, sequence=number, previous="0" * 64, causationid=command_id)
        self.state = evolve(self.state, envelope)

    def refused(self, command: AnyCommand) -> Refusal:
        decision = decide(self.state, command)
        assert isinstance(decision, Refusal), decision
        return decision

    def status(self, run_id: str = "run-1") -> str:
        return self.state.runs[run_id].status


def test_a_run_goes_from_the_request_to_a_version() -> None:
    story = Story(request(reason="new data", after=CANARY))
    assert (story.state.exists, story.status()) == (True, "requested")
    story.send(claim())
    assert (story.status(), story.state.runs["run-1"].runner) == ("claimed", "runner-1")
    story.send(start_training())
    assert story.status() == "running"
    story.send(register("v1", run_id="run-1"))
    run = story.state.runs["run-1"]
    assert (run.status, run.model_version, run.runner) == ("succeeded", "v1", "runner-1")
    assert run.request is not None
    assert run.request.after == CANARY


def test_of_two_claims_one_wins() -> None:
    story = Story(request(), claim("run-1", "one"))
    assert story.refused(claim("run-1", "two")).code == "conflict"
    assert story.send(claim("run-1", "one")) == ()
    story.fold(TrainingClaimed(run_id="run-1", runner="two"))
    assert story.state.runs["run-1"].runner == "one"
    story.send(start_training())
    assert story.refused(claim("run-1", "two")).code == "conflict"


ENDS: dict[str, AnyCommand] = {
    "succeeded": register("v1", run_id="run-1"),
    "failed": fail_training(),
    "cancelled": cancel(),
}


@pytest.mark.parametrize("ended", ENDS)
def test_a_run_that_ended_takes_nothing_more(ended: str) -> None:
    story = Story(request(), claim(), start_training(), ENDS[ended])
    before = story.state
    late = (claim(), claim("run-1", "two"), start_training(), fail_training(), register("v2", run_id="run-1"))
    for command in late:
        story.refused(command)
    if ended == "cancelled":
        assert story.send(cancel()) == ()
    else:
        story.refused(cancel())
    for event in (
        TrainingClaimed(run_id="run-1", runner="two"),
        TrainingCancelled(run_id="run-1"),
        TrainingRequested(run_id="run-1", trainer="other"),
    ):
        story.fold(event)
    assert story.status() == ended
    assert story.state.runs == before.runs


@pytest.mark.parametrize("begun", [(), (claim(),), (claim(), start_training())])
def test_it_can_be_cancelled_and_fail_at_any_time_before(begun: tuple[AnyCommand, ...]) -> None:
    for end in (cancel(reason="enough"), fail_training(cause="not-possible")):
        story = Story(request(), *begun, end)
        assert story.status() in ("cancelled", "failed")


def test_nothing_can_come_of_a_run_that_has_not_begun() -> None:
    story = Story(request())
    assert "claimed first" in story.refused(start_training()).reason
    assert "has not begun" in story.refused(register("v1", run_id="run-1")).reason
    story.send(claim())
    story.refused(register("v1", run_id="run-1"))


def test_a_silent_run_is_asked_for_again_as_often_as_was_asked() -> None:
    story = Story(request(retries=2, parameters={"a": 1}), claim())
    failed, again = story.send(fail_training(cause="silent"))
    assert isinstance(failed, TrainingFailed)
    assert again == TrainingRequested(
        run_id="run-1~2",
        trainer="image-classifier",
        parameters={"a": 1},
        cause=AskedAgain(run_id="run-1", attempt=2),
        retries=2,
    )
    (_, third) = story.send(fail_training("run-1~2", cause="crashed"))
    assert isinstance(third, TrainingRequested)
    assert third.run_id == "run-1~3"
    assert len(story.send(fail_training("run-1~3", cause="silent"))) == 1


def test_a_run_that_no_runner_takes_is_failed_and_not_asked_for_again_and_one_that_is_taken_is_not() -> None:
    story = Story(request(retries=2))
    (failed,) = story.send(fail_training(cause="unclaimed"))
    assert isinstance(failed, TrainingFailed)
    assert story.refused(claim()).code == "illegal-step"
    taken = Story(request(), claim())
    assert taken.refused(fail_training(cause="unclaimed")).code == "conflict"


@pytest.mark.parametrize("cause", ["bad-data", "timed-out", "over-limit", "not-possible", "no-artifact", "bad-output"])
def test_what_would_go_wrong_again_is_not_asked_for_again(cause: Any) -> None:
    assert len(Story(request(retries=2), claim()).send(fail_training(cause=cause))) == 1


def test_the_same_request_again_changes_nothing_another_one_under_its_name_is_refused() -> None:
    story = Story(request())
    assert story.send(request()) == ()
    assert "taken" in story.refused(request(parameters={"a": 1})).reason
    story.send(claim())
    assert story.send(request()) == ()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"run_id": ""}, "run id"),
        ({"run_id": "../../etc/passwd"}, "run id"),
        ({"run_id": "a\n"}, "run id"),
        ({"trainer": "/bin/sh"}, "trainer"),
        ({"trainer": "sh -c"}, "trainer"),
        ({"parameters": {"a": float("nan")}}, "finite"),
        ({"parameters": {"a": 2**64}}, "64 bits"),
        ({"parameters": {"a": "x" * 9_000}}, "bytes"),
        ({"parameters": {str(number): 1 for number in range(PARAMETERS_MAX + 1)}}, "length"),
        ({"datasets": ("../x",)}, "dataset"),
        ({"datasets": (DATASET, DATASET)}, "twice"),
        ({"datasets": ("july",)}, "has no dataset 'july'"),
        ({"retries": 11}, "<= 10"),
        ({"seconds_max": 0}, "1"),
        ({"after": AfterRollout(strategy=AbStrategy(arms=()))}, "arms"),
    ],
)
def test_what_cannot_be_asked_for(wrong: dict[str, Any], told: str) -> None:
    refusal = Story().refused(request(**wrong))
    assert refusal.code == "invalid-value"
    assert told in refusal.reason


def test_open_runs_are_bounded() -> None:
    story = Story(*(request(f"run-{number}") for number in range(RUNS_OPEN_MAX)))
    assert "cancel one" in story.refused(request("more")).reason
    assert "cancel one" in story.refused(start_training("more")).reason
    story.send(cancel("run-7"))
    assert story.send(request("more"))


def test_ended_runs_are_forgotten_one_by_one_and_counted() -> None:
    story = Story(request("open"))
    for number in range(RUNS_ENDED_KEPT_MAX + 3):
        story.send(request(f"run-{number}"))
        story.send(cancel(f"run-{number}"))
    assert len(story.state.runs) == RUNS_ENDED_KEPT_MAX + 1
    assert story.state.runs_forgotten == {"cancelled": 3}
    assert "run-2" not in story.state.runs
    assert story.status("open") == "requested"


def test_releases_that_do_not_know_them_may_pass_over_them() -> None:
    for event in (TrainingRequested(run_id="r", trainer="t"), TrainingClaimed(run_id="r", runner="x")):
        assert in_envelope(event).ignorable
        assert REGISTRY_CODEC.decode(REGISTRY_CODEC.encode(in_envelope(event))) == in_envelope(event)
    story = Story()
    for late in (TrainingClaimed(run_id="no", runner="x"), TrainingCancelled(run_id="no")):
        story.fold(late)
    assert not story.state.runs
