"""Who may answer, who sees a request besides, and which workers are in a fleet canary's part."""

from collections.abc import Sequence

import pytest

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.serving.control import ModelDisabled
from hotswap_stream.domain.rollouts.traffic import Traffic, in_fleet_part, is_shadowed, traffic
from hotswap_stream.domain.serving.request_plan import request_plan, versions_allowed
from tests.support.decider_specification import state_after
from tests.support.samples.registry import trained
from tests.support.samples.rollout_course import BAKING, IN_CANARY, PROVEN
from tests.support.samples.rollouts import SHADOW, fleet, rollout_started
from tests.support.samples.serving import half_opened, opened

SHADOWED = (*PROVEN, rollout_started(SHADOW))


def fleet_traffic(share: int, *workers: str) -> Traffic:
    return traffic(state_after(*PROVEN, rollout_started(fleet(share, *workers))))


@pytest.mark.parametrize(
    ("history", "allowed"),
    [
        ((trained("v1"),), set()),
        (PROVEN, {"v1"}),
        (IN_CANARY, {"v1", "v2"}),
        (SHADOWED, {"v1", "v2"}),
        (BAKING, {"v2"}),
        ((*IN_CANARY, opened("v2")), {"v1"}),
        ((*IN_CANARY, opened("v2"), half_opened("v2")), {"v1", "v2"}),
        ((*IN_CANARY, ModelDisabled()), set()),
    ],
    ids=["none-active", "active", "canary", "arms-without-weight-too", "bake", "open-circuit", "probes", "disabled"],
)
def test_versions_that_may_answer_a_request_that_names_none(
    history: Sequence[RegistryEvent], allowed: set[str]
) -> None:
    assert versions_allowed(state_after(*history)) == allowed


def test_a_plan_is_plain_while_one_version_answers_and_nothing_else_sees_the_requests() -> None:
    assert request_plan(state_after(*PROVEN)).plain
    for history in (IN_CANARY, SHADOWED):
        assert not request_plan(state_after(*history)).plain


def test_shadows_see_their_share_of_the_keys_and_always_the_same_ones() -> None:
    keys = [f"user-{number}".encode() for number in range(4_000)]
    split = traffic(state_after(*SHADOWED))
    seen = [is_shadowed(split, key) for key in keys]
    assert seen == [is_shadowed(split, key) for key in keys]
    assert sum(seen) == pytest.approx(len(keys) * SHADOW.sample_share / 10_000, rel=0.15)
    assert not any(is_shadowed(traffic(state_after(*IN_CANARY)), key) for key in keys[:100])


def test_a_fleet_part_grows_and_keeps_those_that_were_in() -> None:
    workers = [f"worker-{number}" for number in range(400)]
    before, after = set[str](), set[str]()
    for share in (1_000, 3_000, 6_000, 10_000):
        split = fleet_traffic(share)
        before, after = after, {worker for worker in workers if in_fleet_part(split, worker)}
        assert before < after
        assert len(after) == pytest.approx(len(workers) * share / 10_000, rel=0.35)
    assert after == set(workers)


def test_workers_that_are_named_are_in_the_part_and_get_the_candidate_alone() -> None:
    split = fleet_traffic(0, "w7")
    assert in_fleet_part(split, "w7")
    assert not in_fleet_part(split, "w8")
    assert split.weights_on("w7") == (0, 10_000)
    assert split.weights_on("w8") == split.weights
    assert not in_fleet_part(traffic(state_after(*IN_CANARY)), "w7")
