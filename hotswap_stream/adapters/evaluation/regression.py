"""Measuring numbers: MAE, RMSE, MAPE and R², by scikit-learn."""

import numpy as np

from hotswap_stream.adapters.evaluation.labelled_set import LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs, metrics_of, numbers_like


def measure_numbers(outputs: ModelOutputs, labelled: LabelledSet) -> Measures:
    """Return how far the model's numbers are from `target`. Several numbers a row count alike.

    Raises:
        ValidationSetError: No output fits, or it holds NaN.
    """
    from sklearn import metrics

    target = labelled.truths["target"].astype(np.float64)
    _, predicted = numbers_like(outputs, labelled, "target")
    rows, found = target.reshape(len(target), -1), predicted.reshape(len(target), -1)
    values = {
        "mae": metrics.mean_absolute_error(rows, found),
        "rmse": metrics.root_mean_squared_error(rows, found),
    }
    warnings = []
    if (rows == 0).any():
        warnings.append("mape is left out: some targets are 0, and a part of 0 says nothing")
    else:
        values["mape"] = metrics.mean_absolute_percentage_error(rows, found)
    if len(rows) < 2 or (rows == rows[:1]).all(axis=0).any():
        warnings.append("r2 is left out: the targets do not differ")
    else:
        values["r2"] = metrics.r2_score(rows, found)
    return Measures(metrics=metrics_of(values), predictions=predicted, warnings=tuple(warnings))
