"""Which version a reload takes."""

from hotswap_events.commands import Refusal
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.registry.reload import newest_eligible
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.registry import (
    MODEL,
    LogBuilder,
    archived,
    promoted,
    rolled_back,
    staged,
    trained,
    validated,
)


def state_of(builder: LogBuilder) -> ModelState:
    fold = RegistryFold()
    for record in builder.records:
        fold.apply(record)
    assert fold.void_count == 0
    return fold.state(MODEL)


def test_the_newest_that_passed() -> None:
    builder = LogBuilder().append(trained("v1"), validated("v1"), promoted("v1"))
    assert newest_eligible(state_of(builder)) == "v1"
    builder.append(trained("v2"), validated("v2"), trained("v3"), staged("v3"))
    assert newest_eligible(state_of(builder)) == "v2"


def test_not_one_that_waits_for_a_person_and_not_one_that_was_rolled_back() -> None:
    builder = LogBuilder().append(trained("v1"), validated("v1"), promoted("v1"))
    builder.append(trained("v2"), validated("v2"), promoted("v2", "v1"), rolled_back("v1", "v2"))
    builder.append(trained("v3"), validated("v3", "inconclusive"))
    assert newest_eligible(state_of(builder)) == "v1"


def test_not_one_that_was_forced_in_and_then_failed() -> None:
    builder = LogBuilder().append(trained("v1"), validated("v1"), promoted("v1"))
    builder.append(trained("v2"), promoted("v2", "v1", forced=True), promoted("v1", "v2"))
    builder.append(validated("v2", "failed"), archived("v2"))
    assert newest_eligible(state_of(builder)) == "v1"


def test_none_is_a_refusal_that_names_the_way() -> None:
    assert isinstance(refusal := newest_eligible(ModelState("digits")), Refusal)
    assert refusal.code == "unknown-model"
    refusal_ = newest_eligible(state_of(LogBuilder().append(trained("v1"))))
    assert isinstance(refusal_, Refusal)
    assert refusal_.code == "illegal-step"
    assert "v1" in refusal_.reason
    assert "validate" in refusal_.legal
