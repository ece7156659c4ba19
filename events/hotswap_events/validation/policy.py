"""The gates a version passes before it may be promoted, per model, as data."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from hotswap_events.rollouts.strategy import Share

GATES_MAX = 32


class FigureGate(Struct, frozen=True, kw_only=True, gc=False):
    """A bound on one figure of the evaluation, such as `macro_f1`, `latency_ms_p95` or `agreement`.

    At least one of `threshold`, `margin` and `relative_margin` is given. Without an active version the margins hold
    nothing back.
    """

    figure: Annotated[str, Meta(min_length=1, max_length=128)]
    better: Literal["higher", "lower"] = "higher"
    threshold: float | None = None
    """Absolute: at least it where higher is better, at most it where lower is."""
    margin: Annotated[float, Meta(ge=0.0)] | None = None
    """Against the active version's figure on the same set: worse by at most this much."""
    otherwise: Literal["failed", "inconclusive"] = "failed"
    """The verdict of a version outside the bound."""
    relative_margin: Annotated[float, Meta(ge=0.0)] | UnsetType = UNSET
    """Against the active version's figure on the same set: worse by at most this part of its size (0.05 is 5 %)."""

    @property
    def relative(self) -> float | None:
        """The relative margin; None without one."""
        return None if isinstance(self.relative_margin, UnsetType) else self.relative_margin


class ValidationPolicy(Struct, frozen=True, kw_only=True):
    """Accuracy is a share from 0 to 1; the margins are shares too (0.05 is five points).

    Against an active version: passed at active − `pass_margin` or better, failed below active − `fail_margin`,
    in between a person decides. With none active: passed at `first_accuracy_min` or better, else failed.
    The gates come on top: the worst verdict counts. Where the model's validation set is of another kind than
    classification there is no accuracy, and the gates alone count; with none that says anything, a person decides.
    """

    pass_margin: Share = 0.05
    fail_margin: Share = 0.10
    first_accuracy_min: Share = 0.50
    gates: tuple[FigureGate, ...] = ()
    """At most 32, each figure once."""

    def thresholds(self, *, by_accuracy: bool = True) -> dict[str, float]:
        """Return the figures that go into the event, so that the verdict can be questioned later.

        Args:
            by_accuracy: Whether the bounds on accuracy are among them.
        """
        bounds = {
            "pass_margin": self.pass_margin,
            "fail_margin": self.fail_margin,
            "first_accuracy_min": self.first_accuracy_min,
        }
        if not by_accuracy:
            bounds.clear()
        for gate in self.gates:
            if gate.threshold is not None:
                bounds[f"{gate.figure}.threshold"] = gate.threshold
            if gate.margin is not None:
                bounds[f"{gate.figure}.margin"] = gate.margin
            if gate.relative is not None:
                bounds[f"{gate.figure}.relative_margin"] = gate.relative
        return bounds


class ValidationPolicySet(Struct, frozen=True, kw_only=True, gc=False):
    """Verdicts on versions of this model are drawn by this policy from here on."""

    policy: ValidationPolicy
