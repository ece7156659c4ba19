"""Which metrics made of feedback a model's answers can have at all, as far as the registry knows.

It knows it by what the model's validation set measures, and by the signature of the version in production: feedback is
held against its first output.
"""

from collections.abc import Container, Iterable

from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_events.rollouts.strategy import MetricName
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_METRICS, LIVE_METRICS, Told
from hotswap_stream.domain.state.model import ModelState

FREE = -1

_ALL: frozenset[Told] = frozenset({"labels", "numbers", "items"})

_BY_KIND: dict[str, frozenset[Told]] = {
    "classification": frozenset({"labels"}),
    "regression": frozenset({"numbers"}),
    "forecasting": frozenset({"numbers"}),
    "ranking": frozenset({"items"}),
}
"""Kind of validation set → what feedback may tell. Of an evaluator of the users' own it is not known."""

_NEEDS: dict[Told, str] = {
    "labels": "a score for each class: rows of two or more floating-point numbers",
    "numbers": "numbers",
    "items": "an order of items: rows of two or more scores, or lists of items, the best one first",
}


def inapplicable(metrics: Iterable[MetricName], state: ModelState) -> str | None:
    """Return why one of the metrics could never be made of what comes back about this model, or None.

    The reason names those that could.
    """
    for metric in metrics:
        told = LIVE_METRICS[metric].told
        if told is not None and (wrong := _wrong(told, state)):
            fit = ", ".join(applicable(FEEDBACK_METRICS, state))
            return f"metric {metric}: {wrong}; what feedback can tell here is {fit}"
    return None


def applicable(metrics: Container[MetricName], state: ModelState) -> tuple[MetricName, ...]:
    """Return those of the metrics that the model's answers may have, in the order of the table."""
    return tuple(name for name, known in LIVE_METRICS.items() if name in metrics and _fits(known.told, state))


def _wrong(told: Told, state: ModelState) -> str | None:
    chosen, active = state.validation_set, state.active
    if chosen is not None and told not in _BY_KIND.get(chosen.kind, _ALL):
        return f"{state.model_name!r} is a model of {chosen.kind} by its validation set, and this needs {_NEEDS[told]}"
    signature = None if active is None else active.artifact.signature
    if active is not None and signature is not None and told not in _of_output(signature):
        output = signature.outputs[0]
        return (
            f"it needs {_NEEDS[told]}, and the first output {output.name!r} of {active.model_version} is "
            f"{output.datatype} {list(output.shape)}"
        )
    return None


def _fits(told: Told | None, state: ModelState) -> bool:
    return told is None or _wrong(told, state) is None


def _of_output(signature: ModelSignature) -> frozenset[Told]:
    """Return what may be told about the first output, of an answer to one row where there are rows."""
    output = signature.outputs[0]
    datatype, columns = output.datatype, _columns(output)
    found: set[Told] = set()
    if datatype.startswith(("FP", "INT", "UINT")):
        found.add("numbers")
    if datatype.startswith("FP") and columns not in (None, 0, 1):
        found |= {"labels", "items"}
    if datatype.startswith(("INT", "UINT", "BYTES")) and columns is not None:
        found.add("items")
    return frozenset(found)


def _columns(output: TensorSignature) -> int | None:
    """Return how many elements a row has, -1 where that is free; None where the output has no rows of elements."""
    return output.shape[1] if len(output.shape) == 2 and output.shape[0] in (FREE, 1) else None
