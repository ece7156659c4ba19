"""What a policy may be, when a trigger fires, and what keeps it from that."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand, Refusal
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.training.events import AskedByHand, AskedByTrigger, TrainingRequested
from hotswap_events.training.policy import (
    DataTrigger,
    FreezeWindow,
    QualityTrigger,
    ScheduleTrigger,
    TrainingPolicy,
)
from hotswap_events.training.triggers import QualityPeaked, TrainingPolicySet, TrainingSuppressed, TrainingTriggered
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.rules import run_id_of
from tests.support.samples.registry import MODEL, in_envelope, promote, register, switch, validate
from tests.support.samples.training import cancel
from tests.support.samples.triggers import (
    EVERYTHING,
    FILE,
    NOW,
    POLICY,
    fire,
    later,
    peak,
    set_training_policy,
    suppress,
)

OPEN = replace(EVERYTHING, freeze=(), cooldown_seconds=600.0)


class Story:
    """A model to which one thing happens after the other, each at a time of its own."""

    def __init__(self, *commands: AnyCommand) -> None:
        self.state = ModelState(MODEL)
        for command in commands:
            self.send(command)

    def send(self, command: AnyCommand, at: Any = NOW) -> tuple[RegistryEvent, ...]:
        decision = decide(self.state, command)
        assert isinstance(decision, Accepted), decision
        for data in decision.events:
            envelope = in_envelope(
                data, sequence=self.state.sequence + 1, subject=MODEL, time=at, causationid=command.command_id
            )
            self.state = evolve(self.state, envelope)
        return decision.events

    def fired(self, trigger: Any, slot: str, at: Any = NOW, **attributes: Any) -> str:
        """Fire, and end the run; its id."""
        triggered, requested = self.send(fire(trigger, slot, at, **attributes), at)
        assert isinstance(triggered, TrainingTriggered)
        assert isinstance(requested, TrainingRequested)
        assert triggered.run_id == requested.run_id
        self.send(cancel(triggered.run_id), at)
        return triggered.run_id

    def refused(self, command: AnyCommand) -> Refusal:
        decision = decide(self.state, command)
        assert isinstance(decision, Refusal), decision
        return decision


def test_a_policy_may_be_the_first_event_of_a_model() -> None:
    story = Story(set_training_policy(POLICY))
    assert story.state.triggers.policy == POLICY
    assert story.send(set_training_policy(POLICY)) == ()
    assert story.send(set_training_policy(None)) == (TrainingPolicySet(),)
    assert story.state.triggers.policy is None


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (replace(POLICY, schedule=ScheduleTrigger(cron="* * * * * *")), "six|6 fields"),
        (replace(POLICY, schedule=ScheduleTrigger(cron="0 0 30 2 *")), "schedule"),
        (replace(POLICY, schedule=ScheduleTrigger(cron="0 0 * * *", timezone="Nowhere")), "time zone"),
        (replace(POLICY, quality=QualityTrigger(metric="latency", drop=0.1)), "not made of what comes back"),
        (replace(POLICY, quality=QualityTrigger(drop=float("inf"))), "drop"),
        (replace(POLICY, data=DataTrigger()), "neither rows nor files"),
        (replace(POLICY, data=DataTrigger(rows=0)), "rows"),
        (replace(POLICY, trainer="../evil"), "trainer"),
        (replace(POLICY, trainer="rm -rf /"), "trainer"),
        (replace(POLICY, parameters={"rate": float("nan")}), "rate"),
        (replace(POLICY, datasets=("/etc/passwd",)), "dataset"),
        (replace(POLICY, cooldown_seconds=-1.0), "cooldown_seconds"),
        (replace(POLICY, cooldown_seconds=float("inf")), "cooldown_seconds"),
        (replace(POLICY, runs_per_day_max=0), "runs_per_day_max"),
        (replace(POLICY, freeze=(FreezeWindow(),)), "freeze window 1"),
        (replace(POLICY, freeze=(FreezeWindow(begins=NOW),)), "freeze window 1"),
        (replace(POLICY, freeze=(FreezeWindow(begins=NOW, ends=NOW),)), "before it begins"),
        (replace(POLICY, freeze=(FreezeWindow(begins=NOW, ends=later(1), days=("mon",)),)), "days belong"),
        (replace(POLICY, freeze=(FreezeWindow(from_time="25:00", to_time="06:00"),)), "from_time"),
        (replace(POLICY, freeze=(FreezeWindow(from_time="22:00", to_time="06:00", days=("fri", "fri")),)), "twice"),
        (replace(POLICY, freeze=(FreezeWindow(from_time="22:00", to_time="06:00", timezone="X"),)), "time zone"),
    ],
)
def test_what_no_policy_can_be(policy: TrainingPolicy, words: str) -> None:
    refusal = Story().refused(set_training_policy(policy))
    assert refusal.code == "invalid-value"
    assert any(word in refusal.reason for word in words.split("|")), refusal


def test_a_trigger_fires_with_its_run_in_one_decision() -> None:
    story = Story(set_training_policy(OPEN))
    command = fire(
        "drift", "1", figures={"distance": 0.31}, detail="0.31, above 0.2", datasets=(FILE, f"sha256:{'e' * 64}")
    )
    run_id = run_id_of(MODEL, "drift", "1")
    assert story.send(command) == (
        TrainingTriggered(
            trigger="drift", slot="1", run_id=run_id, figures={"distance": 0.31}, detail="0.31, above 0.2"
        ),
        TrainingRequested(
            run_id=run_id,
            trainer="image-classifier",
            parameters={"epochs": 3, "augment": True},
            datasets=(FILE, f"sha256:{'e' * 64}"),
            after="canary",
            cause=AskedByTrigger(trigger="drift", slot="1", figures={"distance": 0.31}),
            retries=1,
            seconds_max=3_600,
        ),
    )
    # The same again, by whoever: nothing. Another id for the same slot: nothing.
    assert story.send(command) == ()
    assert story.send(replace(command, command_id="other")) == ()


def test_runs_of_two_models_have_different_ids() -> None:
    assert run_id_of("a", "drift", "1") != run_id_of("b", "drift", "1")


def test_a_schedule_never_goes_back() -> None:
    story = Story(set_training_policy(replace(OPEN, cooldown_seconds=0.0)))
    story.fired("schedule", "2026-01-05T02:00:00Z")
    assert story.send(fire("schedule", "2026-01-05T02:00:00Z")) == ()
    assert story.send(fire("schedule", "2025-12-29T02:00:00Z")) == ()
    story.fired("schedule", "2026-01-12T02:00:00Z")


def test_without_a_policy_or_the_part_of_it_nothing_fires() -> None:
    story = Story(register("v1"))
    assert "no training policy" in story.refused(fire()).reason
    story.send(set_training_policy(POLICY))
    refusal = story.refused(fire("drift"))
    assert refusal.reason.endswith("it has hand")
    story.send(set_training_policy(replace(POLICY, by_hand=False)))
    assert story.refused(fire("hand")).legal == ()


def test_one_run_at_a_time() -> None:
    story = Story(set_training_policy(replace(OPEN, cooldown_seconds=0.0)))
    (triggered, _requested) = story.send(fire("drift"))
    refusal = story.refused(fire("files", FILE))
    assert "run-on" in refusal.reason
    assert "run-on" in story.refused(fire("hand", "c", override=True, reason="now")).reason
    assert isinstance(triggered, TrainingTriggered)
    story.send(cancel(triggered.run_id))
    story.fired("files", FILE)


def test_the_cooldown_counts_from_whichever_fired_last() -> None:
    story = Story(set_training_policy(OPEN))
    story.fired("drift", "1")
    assert "cooldown" in story.refused(fire("files", FILE, later(599))).reason
    assert "cooldown" in story.refused(fire("files", FILE, later(-599))).reason
    story.fired("files", FILE, later(600))


def test_a_clock_that_was_far_ahead_holds_nothing_up_for_ever() -> None:
    story = Story(set_training_policy(OPEN))
    story.fired("drift", "1", later(10 * 365 * 86_400))
    story.fired("files", FILE, NOW)


def test_the_budget_is_of_any_24_hours() -> None:
    story = Story(set_training_policy(replace(OPEN, cooldown_seconds=0.0, runs_per_day_max=2)))
    story.fired("drift", "1", NOW)
    story.fired("drift", "2", later(3_600))
    refusal = story.refused(fire("drift", "3", later(86_399)))
    assert "budget" in refusal.reason
    assert "from 2026-01-02T12:00:00+00:00" in refusal.reason
    story.fired("drift", "3", later(86_400))
    assert "budget" in story.refused(fire("drift", "4", later(86_401))).reason


def test_in_a_freeze_nothing_starts_but_by_a_person_who_says_why() -> None:
    frozen = FreezeWindow(begins=NOW, ends=NOW + timedelta(days=1))
    story = Story(set_training_policy(replace(OPEN, freeze=(frozen,))))
    for trigger in ("schedule", "drift", "files", "hand"):
        assert "freeze" in story.refused(fire(trigger, "1")).reason
    assert "with a reason" in story.refused(fire("hand", "c", override=True)).reason
    assert "only a person" in story.refused(fire("drift", "1", override=True, reason="now")).reason
    (_, requested) = story.send(fire("hand", "c", override=True, reason="before the fair"))
    assert isinstance(requested, TrainingRequested)
    assert requested.cause == AskedByHand()


def test_what_was_suppressed_is_said_once_per_cause_until_one_fires() -> None:
    story = Story(set_training_policy(OPEN))
    story.fired("drift", "1")
    (said,) = story.send(suppress("quality", "1", "cooldown", later(10), figures={"accuracy": 0.7}))
    assert isinstance(said, TrainingSuppressed)
    assert "600 s" in said.detail
    assert story.send(suppress("quality", "1", "cooldown", later(11))) == ()
    assert len(story.send(suppress("drift", "2", "cooldown", later(12)))) == 1
    # What does not hold is not said.
    assert story.send(suppress("quality", "1", "freeze", later(13))) == ()
    assert story.send(suppress("quality", "1", "cooldown", later(601))) == ()
    story.fired("quality", "1", later(601))
    assert len(story.send(suppress("quality", "2", "cooldown", later(602)))) == 1
    assert len(story.send(suppress("quality", "2", "refused", later(602), detail="100 runs"))) == 1
    assert [type(kept).__name__ for kept in story.state.triggers.history] == [
        "FiredTrigger",
        "SuppressedTrigger",
        "SuppressedTrigger",
        "FiredTrigger",
        "SuppressedTrigger",
        "SuppressedTrigger",
    ]


def test_the_best_quality_is_of_the_version_in_production() -> None:
    story = Story(set_training_policy(OPEN), register("v1"), validate("v1", promote_first=True))
    since = story.state.versions["v1"].production_sequences[-1]
    assert isinstance(story.send(peak(0.9, "v1", since))[0], QualityPeaked)
    assert story.send(peak(0.9, "v1", since)) == ()
    assert story.send(peak(0.8, "v1", since)) == ()
    assert len(story.send(peak(0.95, "v1", since))) == 1
    assert story.refused(peak(0.99, "v1", since + 1)).code == "conflict"
    assert story.refused(peak(float("nan"), "v1", since)).code == "invalid-value"
    assert story.send(peak(0.99, "v1", since, metric="reward")) == ()
    story.send(register("v2"))
    story.send(switch("v2"))
    assert story.refused(peak(0.99, "v1", since)).code == "conflict"
    assert len(story.send(peak(0.5, "v2", story.state.versions["v2"].production_sequences[-1]))) == 1


def test_a_run_that_is_refused_is_a_refusal() -> None:
    story = Story(set_training_policy(replace(OPEN, cooldown_seconds=0.0)))
    story.send(register("v1"))
    assert story.refused(promote("v1")).code == "illegal-step"
    refusal = story.refused(fire("drift", "1", figures={"distance": float("inf")}))
    assert refusal.code == "invalid-value"
