"""One line for people: who did what, when, why; whatever the event holds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent
from hotswap_events.log_stream import LOG_EVENT_TYPES, LOG_STREAM, LogEvent
from hotswap_events.registry.events import EVENT_TYPES, RegistryEvent, TrainingFailed
from hotswap_stream.application.descriptions.event import describe
from hotswap_stream.application.registry.feed import EntryFilter, LogEntry
from tests.support.samples import alerts as alert_samples
from tests.support.samples import datasets as dataset_samples
from tests.support.samples import emergencies as emergency_samples
from tests.support.samples import rollouts as rollout_samples
from tests.support.samples import serving as serving_samples
from tests.support.samples import tags as tag_samples
from tests.support.samples import training as training_samples
from tests.support.samples import triggers as trigger_samples
from tests.support.samples import validation_sets as set_samples
from tests.support.samples.profiles import profiled
from tests.support.samples.registry import (
    EPOCH,
    archived,
    in_envelope,
    promoted,
    rolled_back,
    staged,
    trained,
    training_failed,
    training_started,
    validated,
)

DESCRIPTIONS: list[tuple[RegistryEvent, str]] = [
    (training_started(), "started training run run-1 of digits (digits-cnn)"),
    (training_failed(), "ended training run run-1 of digits, which failed (bad-data: labels are inverted)"),
    (trained("v1"), "registered v1 of digits (imported, 110,248 bytes, sha256:3bfc269594ef)"),
    (validated("v1"), "validated v1 of digits: passed, accuracy 0.97"),
    (
        validated("v2", "failed", 0.1, ("v1", 0.97)),
        "validated v2 of digits: failed, accuracy 0.1 against 0.97 of v1",
    ),
    (staged("v1"), "staged v1 of digits"),
    (promoted("v1"), "promoted v1 of digits, as its first active version"),
    (promoted("v2", "v1"), "promoted v2 of digits, in place of v1"),
    (promoted("v2", "v1", forced=True), "promoted v2 of digits by force, in place of v1"),
    (archived("v1"), "archived v1 of digits"),
    (rolled_back("v1", "v2", "emergency"), "rolled digits back from v2 to v1 (emergency)"),
    (profiled("v1"), "profiled v1 of digits (1,257 rows of digits-train)"),
    *rollout_samples.DESCRIBED,
    *set_samples.DESCRIBED,
    *tag_samples.DESCRIBED,
    *training_samples.DESCRIBED,
    *trigger_samples.DESCRIBED,
    *serving_samples.DESCRIBED,
    *alert_samples.DESCRIBED,
    *emergency_samples.DESCRIBED,
    *dataset_samples.DESCRIBED,
]


@pytest.mark.parametrize(("data", "what"), DESCRIPTIONS, ids=[type(data).__name__ for data, _ in DESCRIPTIONS])
def test_every_event(data: RegistryEvent, what: str) -> None:
    assert describe(in_envelope(data)) == f"2026-01-02 03:04:06Z alice {what}"


@pytest.mark.parametrize(("data", "what"), emergency_samples.LOG_EVENTS, ids=["begun", "known", "set", "removed"])
def test_every_event_of_the_log(data: LogEvent, what: str) -> None:
    assert describe(in_envelope(data, subject=LOG_STREAM)) == f"2026-01-02 03:04:06Z alice {what}"


def test_every_type_has_a_description() -> None:
    assert {type(data) for data, _ in DESCRIPTIONS} == set(EVENT_TYPES.values())
    assert {type(data) for data, _ in emergency_samples.LOG_EVENTS} == set(LOG_EVENT_TYPES.values())


REGISTERED = "hotswap.model.trained.v1"
"""Its word is older than the product's own: a version that was trained elsewhere is registered, too."""


@pytest.mark.parametrize(("data", "what"), DESCRIPTIONS)
def test_an_event_is_told_with_the_words_of_its_type(data: Any, what: str) -> None:
    """Whoever reads a line of `events` finds it again by `--type`, in the API and in the reference of events."""
    stored = REGISTRY_CODEC.type_name(data)
    words = ["registered"] if stored == REGISTERED else stored.split(".")[2].split("-")
    assert [word for word in words if word[:4] not in what] == [], (stored, what)


def test_the_reason_ends_the_line() -> None:
    described = describe(in_envelope(archived("v1"), reason="too slow on old phones"))
    assert described == "2026-01-02 03:04:06Z alice archived v1 of digits: too slow on old phones"


def test_an_event_of_a_newer_release() -> None:
    value = REGISTRY_CODEC.encode(in_envelope(staged("v1"))).replace(b"staged.v1", b"frozen.v1")
    decoded = REGISTRY_CODEC.decode(value)
    assert isinstance(decoded, UnknownEvent)
    assert describe(decoded) == (
        "2026-01-02 03:04:06Z alice did to digits what only a newer release can read (hotswap.model.frozen.v1)"
    )


def test_a_time_no_other_zone_can_show() -> None:
    value = REGISTRY_CODEC.encode(in_envelope(staged("v1")))
    first_day = value.replace(b"2026-01-02T03:04:06Z", b"0001-01-01T00:00:00+14:00")
    decoded = REGISTRY_CODEC.decode(first_day)
    assert not isinstance(decoded, UnknownEvent)
    assert describe(decoded).startswith("0001-01-01 00:00:00+14:00 alice staged")  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text(max_size=400))
def test_never_more_than_a_line_and_nothing_a_terminal_obeys(actor: str, model: str, run: str, detail: str) -> None:
    data = TrainingFailed(run_id=run, cause="crashed", detail=detail)
    described = describe(in_envelope(data, subject=model, actor=actor, reason=detail))
    assert described.isprintable()
    assert len(described) < 600 + len(actor) + len(model) + len(run)


def test_a_version_that_was_registered_is_found_by_that_word() -> None:
    entry = LogEntry(offset=0, appended_at=EPOCH, event={"type": REGISTERED})
    assert EntryFilter(event_type="registered").takes(entry)
    assert EntryFilter(event_type="trained").takes(entry)
    assert not EntryFilter(event_type="promoted").takes(entry)
