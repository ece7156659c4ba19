"""The verdict on a version that was measured on a fixed validation set."""

from collections.abc import Mapping

from msgspec import Struct

from hotswap_events.registry import Verdict


class ValidationPolicy(Struct, frozen=True, kw_only=True):
    """Accuracy is a share from 0 to 1; the margins are shares too (0.05 is five points).

    Against an active version: passed at active − `pass_margin` or better, failed below active − `fail_margin`,
    in between a person decides. With none active: passed at `first_accuracy_min` or better, else failed.
    """

    pass_margin: float = 0.05
    fail_margin: float = 0.10
    first_accuracy_min: float = 0.50

    def thresholds(self) -> dict[str, float]:
        """The figures that go into the event, so that the verdict can be questioned later."""
        return {
            "pass_margin": self.pass_margin,
            "fail_margin": self.fail_margin,
            "first_accuracy_min": self.first_accuracy_min,
        }


DEFAULT_VALIDATION_POLICY = ValidationPolicy()

_ROUNDING = 1e-9
"""0.95 − 0.05 is not 0.9 in binary; a version exactly on the line passes."""


def judge(
    policy: ValidationPolicy, figures: Mapping[str, float], baseline_figures: Mapping[str, float] | None
) -> Verdict:
    """Verdict from the candidate's and the active version's `accuracy`. KeyError where it is missing."""
    accuracy = figures["accuracy"]
    if baseline_figures is None:
        return "passed" if accuracy >= policy.first_accuracy_min - _ROUNDING else "failed"
    baseline = baseline_figures["accuracy"]
    if accuracy >= baseline - policy.pass_margin - _ROUNDING:
        return "passed"
    if accuracy < baseline - policy.fail_margin - _ROUNDING:
        return "failed"
    return "inconclusive"
