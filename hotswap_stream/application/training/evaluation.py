"""Measuring versions on one fixed, labeled set: what goes to the process that does it, and what comes back."""

from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from hotswap_events.commands import CommandResult
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.validation.sets import ValidationSet
from hotswap_stream.errors import HotswapError


class EvaluationFailedError(HotswapError):
    """The figures could not be made; the message says why."""


class NotMeasurableError(EvaluationFailedError):
    """The version and the set do not fit each other, or one of them is missing: whoever asks can put that right."""


class Evaluation(Struct, frozen=True, kw_only=True):
    """How a module does on a fixed set. Shares reach from 0 to 1."""

    validation_set: str
    """Digest of the set."""
    count: int
    accuracy: float
    macro_f1: float
    class_accuracy: tuple[float, ...]
    """Per true class, the share answered rightly; 0.0 for a class the set lacks."""
    latency_ms_p95: float
    """95th percentile of inferences of one item each."""
    agreement: float | None = None
    """Share of items on which another version answered the same, if one was given."""

    def figures(self) -> dict[str, float]:
        """Return the figures flat, for the registry."""
        figures = {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "latency_ms_p95": self.latency_ms_p95,
            "count": float(self.count),
            **{f"accuracy_class_{label}": share for label, share in enumerate(self.class_accuracy)},
        }
        return figures if self.agreement is None else {**figures, "agreement": self.agreement}


class Measured(Struct, frozen=True, kw_only=True, tag="measured"):
    """A version on the set, and the one it is compared with on the same set; also the line that tells of it."""

    candidate: Evaluation
    """Has `agreement` where there is another one."""
    compared: Evaluation | None = None


class Metric(Struct, frozen=True, kw_only=True):
    """One figure that a set and a version's outputs on it gave."""

    name: str
    """Under which gates know it."""
    value: float
    better: Literal["higher", "lower"]
    unit: str
    """`share`: from 0 to 1; `target`: the unit of what is predicted; `ratio`: a number without a unit."""


class SetEvaluation(Struct, frozen=True, kw_only=True):
    """How a version does on a labelled set of the model's own."""

    validation_set: str
    """Digest of the set."""
    kind: str
    count: int
    """Rows."""
    metrics: tuple[Metric, ...]
    latency_ms_p95: float
    """95th percentile of inferences of one row each."""
    warnings: tuple[str, ...] = ()
    """What could not be measured on this set, and what was taken for granted."""

    def figures(self) -> dict[str, float]:
        """Return the figures flat, for the registry."""
        return {
            **{metric.name: metric.value for metric in self.metrics},
            "latency_ms_p95": self.latency_ms_p95,
            "count": float(self.count),
        }


class MeasuredOnSet(Struct, frozen=True, kw_only=True, tag="measured-on-set"):
    """A version on a labelled set, and the one it is compared with on the same set; also the line that tells of it."""

    candidate: SetEvaluation
    """Has a metric for how far it is from the other one, where there is another one."""
    compared: SetEvaluation | None = None


class EvaluationOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an evaluation's process reads from standard input, as one JSON line. The end of input tells it to end."""

    candidate_file: str
    """An artifact, verified by its owner. The process never sees the store or its keys."""
    compared_file: str | None = None
    data_file: str | None = None
    """A data file of labeled images; None: the validation part of the bundled digits."""
    threads: int = 1


class SetEvaluationOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the process of an evaluation on a labelled set reads, as one JSON line. One of two files is the set."""

    candidate_file: str
    candidate_options: VersionOptions = PLAIN
    compared_file: str | None = None
    compared_options: VersionOptions = PLAIN
    set_file: str | None = None
    """A set that is an artifact."""
    data_file: str | None = None
    """A set in a file of arrays."""
    data_kind: str | None = None
    """What is measured on the file; None: what the arrays' names say."""
    bytes_max: int
    """Size of the set, also when it is unpacked."""
    threads: int = 1


class EvaluationAborted(Struct, frozen=True, kw_only=True, tag="aborted"):
    """The last line when the process knows why there are no figures."""

    detail: str
    not_measurable: bool = False
    """Whether the version and the set are the reason, and not this machine."""


EvaluationLine = Measured | MeasuredOnSet | EvaluationAborted
"""What an evaluation's process writes to standard output, as one JSON object."""


class Evaluator(Protocol):
    """Measures artifacts of the store where a crash or a hang is not ours."""

    async def measure(
        self,
        digest: str,
        *,
        compared_with: str | None = None,
        options: VersionOptions = PLAIN,
        compared_options: VersionOptions = PLAIN,
        data_file: Path | None = None,
        validation_set: ValidationSet | None = None,
    ) -> Measured | MeasuredOnSet:
        """Measure an artifact and, on the same set, another one.

        Args:
            digest: The digest of the artifact.
            compared_with: The digest of the other one.
            options: How the version is computed.
            compared_options: How the other one is computed.
            data_file: The set; None: the model's own.
            validation_set: The model's own; None: it has none, which leaves the bundled digits for those that take
                them.

        Raises:
            EvaluationFailedError: The figures could not be made.
            HotswapError: One of those of the store.
        """


class VersionMeasured(Struct, frozen=True, kw_only=True):
    """What was measured, and what followed of it."""

    result: CommandResult
    """The verdict's event, or `unchanged`."""
    verdict: str | None
    detail: str | None
    """Why, in a few words."""
    on_digits: Evaluation | None = None
    """Where the model has no set of its own."""
    on_set: SetEvaluation | None = None
