"""The gates a version passes before it may be promoted, per model, as data."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.rollout_strategy import Share

GATES_MAX = 32


class FigureGate(Struct, frozen=True, kw_only=True, gc=False):
    """A bound on one figure of the evaluation, such as `macro_f1`, `latency_ms_p95` or `agreement`.

    At least one of `threshold` and `margin` is given. Without an active version a margin holds nothing back.
    """

    figure: Annotated[str, Meta(min_length=1, max_length=128)]
    better: Literal["higher", "lower"] = "higher"
    threshold: float | None = None
    """Absolute: at least it where higher is better, at most it where lower is."""
    margin: Annotated[float, Meta(ge=0.0)] | None = None
    """Against the active version's figure on the same set: worse by at most this much."""
    otherwise: Literal["failed", "inconclusive"] = "failed"
    """The verdict of a version outside the bound."""


class ValidationPolicy(Struct, frozen=True, kw_only=True):
    """Accuracy is a share from 0 to 1; the margins are shares too (0.05 is five points).

    Against an active version: passed at active − `pass_margin` or better, failed below active − `fail_margin`,
    in between a person decides. With none active: passed at `first_accuracy_min` or better, else failed.
    The gates come on top: the worst verdict counts.
    """

    pass_margin: Share = 0.05
    fail_margin: Share = 0.10
    first_accuracy_min: Share = 0.50
    gates: tuple[FigureGate, ...] = ()
    """At most 32, each figure once."""

    def thresholds(self) -> dict[str, float]:
        """Return the figures that go into the event, so that the verdict can be questioned later."""
        bounds = {
            "pass_margin": self.pass_margin,
            "fail_margin": self.fail_margin,
            "first_accuracy_min": self.first_accuracy_min,
        }
        for gate in self.gates:
            if gate.threshold is not None:
                bounds[f"{gate.figure}.threshold"] = gate.threshold
            if gate.margin is not None:
                bounds[f"{gate.figure}.margin"] = gate.margin
        return bounds


class ValidationPolicySet(Struct, frozen=True, kw_only=True, gc=False):
    """Verdicts on versions of this model are drawn by this policy from here on."""

    policy: ValidationPolicy
