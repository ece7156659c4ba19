"""`rollback`: to the version that was in production before, once, and not from a version that nobody meant."""

from tests.support.decider_specification import given
from tests.support.samples.registry import archived, promoted, roll_back, rolled_back, trained, validated

V1_ACTIVE = (trained("v1"), validated("v1"), promoted("v1"))
V2_ACTIVE = (*V1_ACTIVE, trained("v2"), validated("v2", baseline=("v1", 0.97)), promoted("v2", "v1"))


def test_to_the_former_one() -> None:
    given(*V2_ACTIVE).when(roll_back("emergency")).then(rolled_back("v1", "v2", "emergency"))


def test_on_and_on() -> None:
    v3_active = (*V2_ACTIVE, trained("v3"), validated("v3", baseline=("v2", 0.97)), promoted("v3", "v2"))
    back = given(*v3_active, rolled_back("v2", "v3"))
    back.when(roll_back(from_version="v2")).then(rolled_back("v1", "v2"))


def test_asked_for_twice_it_goes_back_once() -> None:
    v3_active = (*V2_ACTIVE, trained("v3"), validated("v3", baseline=("v2", 0.97)), promoted("v3", "v2"))
    once = given(*v3_active).when(roll_back())
    once.then(rolled_back("v2", "v3"))
    once.and_says("switch to v3", "would go to v1 and archive v2")
    for cause in ("operator", "emergency"):
        again = given(*v3_active, rolled_back("v2", "v3")).when(roll_back(cause))
        again.then_refused("illegal-step", "would go on to 'v1' and archive 'v2'", "from_version: v2", "switch to v3")
    later = given(*v3_active, rolled_back("v2", "v3"), promoted("v3", "v2", forced=True))
    later.when(roll_back()).then(rolled_back("v2", "v3"))


def test_past_one_that_was_archived_since() -> None:
    v3_active = (*V2_ACTIVE, trained("v3"), validated("v3", baseline=("v2", 0.97)), promoted("v3", "v2"))
    given(*v3_active, archived("v2")).when(roll_back()).then(rolled_back("v1", "v3"))


def test_from_the_version_that_was_meant() -> None:
    given(*V2_ACTIVE).when(roll_back("load-failed", "v2")).then(rolled_back("v1", "v2", "load-failed"))


def test_a_late_one_does_not_hit_the_successor() -> None:
    given(*V2_ACTIVE).when(roll_back("load-failed", "v1")).then_refused("conflict", "'v1'", "'v2' is active")


def test_nothing_is_active() -> None:
    given(trained("v1")).when(roll_back()).then_refused("illegal-step", "no active version")


def test_there_is_no_former_one() -> None:
    given(*V1_ACTIVE).when(roll_back()).then_refused("illegal-step", "no former one")
    given(*V2_ACTIVE, rolled_back("v1", "v2")).when(roll_back()).then_refused("illegal-step", "no former one")
