"""What is measured on a set of each kind, and who does it: what comes along, and what is installed beside it."""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points

from hotswap_stream.adapters.evaluation.labelled_set import LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs
from hotswap_stream.application.training.evaluation import Metric
from hotswap_stream.application.training.validation_sets import ValidationSetError

ENTRY_POINTS = "hotswap_stream.evaluators"
"""Group of installed functions of outputs and labels, each an array by name, that return metrics."""

Evaluator = Callable[[ModelOutputs, LabelledSet], Measures]


def evaluator_of(kind: str) -> Evaluator:
    """Return what measures sets of this kind.

    Raises:
        ValidationSetError: Nothing here does.
    """
    if kind == "classification":
        from hotswap_stream.adapters.evaluation.classification import measure_classes

        return measure_classes
    if kind == "regression":
        from hotswap_stream.adapters.evaluation.regression import measure_numbers

        return measure_numbers
    if kind == "forecasting":
        from hotswap_stream.adapters.evaluation.forecasting import measure_forecasts

        return measure_forecasts
    if kind == "ranking":
        from hotswap_stream.adapters.evaluation.ranking import measure_rankings

        return measure_rankings
    return _installed(kind)


def _installed(kind: str) -> Evaluator:
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind not in found:
        known = ["classification", "regression", "forecasting", "ranking", *sorted(found)]
        raise ValidationSetError(
            f"no evaluator {kind!r} is installed here (entry points {ENTRY_POINTS!r}); there are {', '.join(known)}"
        )
    function = found[kind].load()

    def measured(outputs: ModelOutputs, labelled: LabelledSet) -> Measures:
        metrics: Iterable[Metric] = function(dict(outputs.arrays), dict(labelled.truths))
        return Measures(metrics=tuple(metrics), predictions=next(iter(outputs.arrays.values())))

    return measured
