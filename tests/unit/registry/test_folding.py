"""What is counted for whom: by role, rollout, version and time; and what the baseline did before the rollout."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.inference.observation import Observation
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.application.rollouts.analysis.figures import JudgedAnswer
from hotswap_stream.application.rollouts.analysis.folding import VERSIONS_BEFORE_MAX, fold_judged, fold_observation
from hotswap_stream.application.rollouts.analysis.phases import BEFORE_TRIALS_MAX, in_step_with
from hotswap_stream.application.rollouts.analysis.table import ModelTable
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.samples import Counts
from tests.support.decider_specification import state_after
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import promoted
from tests.support.samples.rollout_course import PROVEN
from tests.support.samples.rollouts import CANARY, SHADOW, completed, rollout_started

METRICS = RolloutPolicy(
    metrics=(
        MetricRule(metric="success-rate", margin=0.03),
        MetricRule(metric="accuracy", margin=0.05),
        MetricRule(metric="reward", margin=0.05),
    )
)
TRAFFIC = ObservedTraffic()


def rollout_after(*events: RegistryEvent) -> RolloutState:
    rollout = state_after(*PROVEN, *events).rollout
    assert rollout is not None
    return rollout


RUNNING = rollout_after(rollout_started(CANARY, policy=METRICS))
SHADOWED = rollout_after(rollout_started(SHADOW, policy=METRICS))
BAKING = rollout_after(
    rollout_started(CANARY, policy=METRICS),
    completed("promoted", model_version="v2", bake_seconds=300),
    promoted("v2", "v1"),
)


def observed(model_version: str | None = "v2", /, **fields: Any) -> Observation:
    defaults: dict[str, Any] = {"rollout_id": "r1", "answers": 9, "errors": {"model-failure": 1}}
    return replace(TRAFFIC.record("v2", **{**defaults, **fields}), model_version=model_version)


def judged(model_version: str = "v2", /, **fields: Any) -> JudgedAnswer:
    defaults: dict[str, Any] = {"answered_at": TRAFFIC.now, "rollout_id": "r1", "correct": True, "reward": 0.5}
    return JudgedAnswer(model_version=model_version, **{**defaults, **fields})


@pytest.mark.parametrize(
    ("rollout", "record"),
    [
        (RUNNING, observed(None)),
        (RUNNING, observed(role="pinned")),
        (RUNNING, observed(role="shadow")),
        (RUNNING, observed(rollout_id="r0")),
        (RUNNING, observed(rollout_id=None)),
        (RUNNING, observed("v9")),
        (SHADOWED, observed(role="primary")),
        (BAKING, observed("v1", rollout_id=None)),
        (BAKING, observed(role="pinned", rollout_id=None)),
        (BAKING, observed(rollout_id=None, since=BAKING.phase_started_at - timedelta(seconds=1))),
    ],
)
def test_observations_that_count_for_no_arm(rollout: RolloutState, record: Observation) -> None:
    fresh = in_step_with(ModelTable(), rollout)
    assert fold_observation(fresh, rollout, record) == fresh


def test_a_candidate_s_observation_counts_in_its_figures_and_tests() -> None:
    for rollout, record in ((RUNNING, observed()), (SHADOWED, observed(role="shadow"))):
        table = fold_observation(ModelTable(), rollout, record).rollout
        assert table is not None
        assert table.figures["v2"].outcomes == Counts(9, 10)
        [tests] = table.candidates
        assert tests.whole[0].candidate == tests.phase[0].candidate == Counts(9, 10)
        assert tests.phase_answers == 10


def test_what_began_before_the_phase_counts_for_the_whole_alone() -> None:
    record = observed(since=RUNNING.phase_started_at - timedelta(seconds=1))
    table = fold_observation(ModelTable(), RUNNING, record).rollout
    assert table is not None
    [tests] = table.candidates
    assert (tests.whole[0].candidate, tests.phase[0].candidate) == (Counts(9, 10), Counts())
    assert tests.phase_answers == 0


def test_in_the_bake_the_promoted_version_alone_is_tested() -> None:
    table = fold_observation(in_step_with(ModelTable(), BAKING), BAKING, observed(rollout_id=None))
    table = fold_judged(table, BAKING, judged(rollout_id=None))
    assert table.rollout is not None
    assert table.rollout.bake is not None
    success, accuracy, reward = table.rollout.bake
    assert (success.candidate, accuracy.candidate, reward.candidate_values.count) == (Counts(9, 10), Counts(1, 1), 1)
    assert table.rollout.figures == {}


@pytest.mark.parametrize(
    ("rollout", "answer"),
    [
        (None, judged()),
        (RUNNING, judged(rollout_id="r0")),
        (RUNNING, judged("v9")),
        (RUNNING, judged(answered_at=RUNNING.started_at - timedelta(seconds=1))),
        (BAKING, judged("v1")),
        (BAKING, judged(answered_at=BAKING.phase_started_at - timedelta(seconds=1))),
    ],
)
def test_judged_answers_that_count_for_no_arm(rollout: RolloutState | None, answer: JudgedAnswer) -> None:
    fresh = in_step_with(ModelTable(), rollout)
    assert fold_judged(fresh, rollout, answer) == fresh


def test_a_judged_answer_counts_for_what_is_known_of_it() -> None:
    table = fold_judged(ModelTable(), RUNNING, judged("v1", reward=None))
    table = fold_judged(table, RUNNING, judged(correct=None))
    assert table.rollout is not None
    [tests] = table.rollout.candidates
    _success, accuracy, reward = tests.phase
    assert (accuracy.baseline, accuracy.candidate) == (Counts(1, 1), Counts())
    assert (reward.baseline_values.count, reward.candidate_values.count) == (0, 1)


def test_without_a_rollout_each_version_s_rate_is_kept_and_weighs_no_more_than_a_limit() -> None:
    table = ModelTable()
    for number in range(VERSIONS_BEFORE_MAX + 3):
        table = fold_observation(table, None, observed(f"v{number}", rollout_id=None))
    assert list(table.before) == [f"v{number}" for number in range(3, VERSIONS_BEFORE_MAX + 3)]
    many = observed("v1", rollout_id=None, answers=9_000, errors={"model-failure": 1_000})
    table = fold_observation(table, None, many)
    assert table.before["v1"] == Counts(900, BEFORE_TRIALS_MAX)
    for ignored in (observed("v1"), observed("v1", role="pinned", rollout_id=None)):
        assert fold_observation(table, None, ignored) == table
