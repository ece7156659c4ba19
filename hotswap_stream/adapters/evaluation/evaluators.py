"""What is measured on a set of each kind, and who does it: what comes along, and what is installed beside it."""

from collections.abc import Callable

from hotswap_stream.adapters.evaluation.labelled_set import LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs
from hotswap_stream.application.plugins.finding import find_plugin
from hotswap_stream.application.plugins.names import BUILT_IN_EVALUATORS, MissingPluginError, PluginKey
from hotswap_stream.application.training.evaluation import Metric
from hotswap_stream.application.training.validation_sets import ValidationSetError

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
    try:
        function = find_plugin(PluginKey("evaluator", kind)).build
    except MissingPluginError as error:
        known = ", ".join(BUILT_IN_EVALUATORS)
        raise ValidationSetError(f"{error}; measured without a plug-in are {known}") from error

    def measured(outputs: ModelOutputs, labelled: LabelledSet) -> Measures:
        try:
            metrics: tuple[Metric, ...] = tuple(function(dict(outputs.arrays), dict(labelled.truths)))
        except Exception as error:
            raise ValidationSetError(f"evaluator {kind!r} raised {type(error).__name__}: {error}") from error
        if not all(isinstance(metric, Metric) for metric in metrics):
            raise ValidationSetError(f"evaluator {kind!r} returned something else than metrics: {metrics[:3]!r:.200}")
        return Measures(metrics=metrics, predictions=next(iter(outputs.arrays.values())))

    return measured
