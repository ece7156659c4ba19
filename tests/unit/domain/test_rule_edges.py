"""Edges of rules and figures that no history of a healthy model comes to."""

import math

import pytest
from msgspec.structs import replace

from hotswap_events.registry.events import ArtifactDeleted
from hotswap_events.rollouts.events import EVIDENCE_FIGURES_MAX, EVIDENCE_MAX
from hotswap_events.rollouts.strategy import AbStrategy, Arm
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.domain.deciding.contradiction import IllegalEventError
from hotswap_stream.domain.rollouts.limits import wrong_evidence, wrong_strategy
from hotswap_stream.domain.rollouts.refusals import legal_rollout_steps
from hotswap_stream.domain.statistics.beta_binomial import rate_interval
from hotswap_stream.domain.statistics.evidence import finite
from hotswap_stream.domain.statistics.latency_histogram import bucket_of, quantile_ms
from hotswap_stream.domain.statistics.means import mean_interval
from hotswap_stream.domain.statistics.samples import Counts, Moments
from hotswap_stream.domain.statistics.strata import Strata
from hotswap_stream.domain.versions.retention_rules import why_kept
from tests.support.decider_specification import given, state_after
from tests.support.samples.registry import archived, trained
from tests.support.samples.rollout_course import BAKING, IN_CANARY, PROVEN
from tests.support.samples.rollouts import CANARY, EVIDENCE, change_strategy
from tests.support.samples.serving import close_circuit, opened, policy_set


def test_evidence_has_an_end() -> None:
    [entry] = EVIDENCE
    assert wrong_evidence(EVIDENCE) is None
    assert str(EVIDENCE_MAX) in (wrong_evidence(EVIDENCE * (EVIDENCE_MAX + 1)) or "")
    crowded = replace(entry, figures={f"f{number}": 1.0 for number in range(EVIDENCE_FIGURES_MAX + 1)})
    assert str(EVIDENCE_FIGURES_MAX) in (wrong_evidence((crowded,)) or "")
    assert "nan" in (wrong_evidence((replace(entry, value=math.nan),)) or "")
    assert (wrong_evidence((replace(entry, metric=1),)) or "").startswith("evidence: ")


def test_an_arm_needs_a_version_of_its_own() -> None:
    arms = (Arm(model_version="v2", weight=5_000), Arm(model_version="v2", weight=5_000))
    assert "name a version twice" in (wrong_strategy(AbStrategy(arms=arms)) or "")


def test_figures_of_a_circuit_are_numbers() -> None:
    history = (*PROVEN, opened("v2"))
    given(*history).when(close_circuit("v2", figures={"passed": math.nan})).then_refused("invalid-value", "figures")


def test_without_a_rollout_one_may_be_started_and_in_a_bake_none_is_changed() -> None:
    assert legal_rollout_steps(None) == ("start",)
    given(*BAKING).when(change_strategy(CANARY)).then_refused("illegal-step", "is baking")
    given(*IN_CANARY).when(change_strategy(CANARY, "v1")).then_refused("illegal-step", "it is the baseline")


def test_the_fallback_of_a_policy_keeps_its_artifact() -> None:
    history = (*PROVEN, trained("v3"))
    assert why_kept(state_after(*history), state_after(*history).versions["v3"]) is None
    named = state_after(*history, policy_set(ServingPolicy(fallback="version", fallback_version="v3")))
    assert why_kept(named, named.versions["v3"]) == "the fallback of the serving policy"


def test_a_clean_up_of_another_artifact_contradicts_the_state() -> None:
    with pytest.raises(IllegalEventError, match="not the one registered"):
        state_after(*PROVEN, archived("v2"), ArtifactDeleted(model_version="v2", artifact_digest="sha256:" + "0" * 64))


def test_where_nothing_was_seen_nothing_is_known() -> None:
    assert quantile_ms({}, 0.5) is None
    assert Moments(1, 3.0, 9.0).variance == 0.0
    untouched = Strata()
    assert untouched.difference is None
    assert math.isinf(untouched.radius(1.0, 1.0, 0.05, 100.0))
    assert untouched.with_stratum(0, 0.0, 10, 1.0) is untouched
    assert (finite(math.inf), finite(-math.inf), finite(0.5)) == (None, None, 0.5)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_quantile_is_of_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        quantile_ms({bucket_of(3.0): 2}, share)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_an_interval_needs_a_probability_to_err(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        rate_interval(Counts(1, 2), alpha)
    with pytest.raises(ValueError, match="alpha"):
        mean_interval(Moments(500, 1.0, 1.0), alpha)
