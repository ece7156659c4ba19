"""The verdict at, above and below each line."""

import pytest

from hotswap_events.registry.events import Verdict
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy, judge


@pytest.mark.parametrize(
    ("accuracy", "baseline", "verdict"),
    [
        (0.97, 0.97, "passed"),
        (1.0, 0.5, "passed"),
        (0.90, 0.95, "passed"),  # exactly five points below, though 0.95 - 0.05 > 0.90 in binary
        (0.8999, 0.95, "inconclusive"),
        (0.85, 0.95, "inconclusive"),  # exactly ten points below: not yet failed
        (0.8499, 0.95, "failed"),
        (0.0, 0.95, "failed"),
        (0.0, 0.05, "passed"),
        (0.0, 0.1, "inconclusive"),
    ],
)
def test_against_an_active_version(accuracy: float, baseline: float, verdict: Verdict) -> None:
    assert judge(DEFAULT_VALIDATION_POLICY, {"accuracy": accuracy}, {"accuracy": baseline}) == verdict


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.5, "passed"), (0.4999, "failed"), (1.0, "passed"), (0, "failed")])
def test_with_none_active(accuracy: float, verdict: Verdict) -> None:
    assert judge(DEFAULT_VALIDATION_POLICY, {"accuracy": accuracy}, None) == verdict


def test_thresholds_are_the_policy_s() -> None:
    policy = ValidationPolicy(pass_margin=0.01, fail_margin=0.02, first_accuracy_min=0.9)
    assert policy.thresholds() == {"pass_margin": 0.01, "fail_margin": 0.02, "first_accuracy_min": 0.9}
    assert judge(policy, {"accuracy": 0.945}, {"accuracy": 0.96}) == "inconclusive"


def test_accuracy_is_needed() -> None:
    with pytest.raises(KeyError):
        judge(DEFAULT_VALIDATION_POLICY, {"f1": 1.0}, None)
