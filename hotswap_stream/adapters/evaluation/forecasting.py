"""Measuring forecasts of several steps: MAE, RMSE, sMAPE, MASE, and MAE of each step."""

import numpy as np

from hotswap_stream.adapters.evaluation.labelled_set import LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs, metrics_of, numbers_like

STEPS_TOLD_MAX = 24
"""Steps that have a figure of their own."""


def measure_forecasts(outputs: ModelOutputs, labelled: LabelledSet) -> Measures:
    """Return how far the model's forecasts are from `target`, [rows, steps].

    MASE divides each row's mean absolute error by `scale`: the mean absolute error of the naive forecast on that row's
    history. sMAPE is the mean of 2·|y − ŷ| / (|y| + |ŷ|), from 0 to 2, and 0 where both are 0.

    Raises:
        ValidationSetError: No output fits, or it holds NaN.
    """
    target = labelled.truths["target"].astype(np.float64)
    _, predicted = numbers_like(outputs, labelled, "target")
    rows, found = target.reshape(len(target), -1), predicted.reshape(len(target), -1)
    errors = np.abs(rows - found)
    sizes = np.abs(rows) + np.abs(found)
    parts = np.divide(2 * errors, sizes, out=np.zeros_like(errors), where=sizes > 0)
    values = {
        "mae": errors.mean(),
        "rmse": np.sqrt((errors**2).mean()),
        "smape": parts.mean(),
    }
    warnings = []
    scale = labelled.truths.get("scale")
    if scale is None:
        warnings.append(
            "mase is left out: the set has no array 'scale', the mean absolute error of the naive forecast on each "
            "row's history"
        )
    else:
        values["mase"] = (errors.mean(axis=1) / scale.astype(np.float64)).mean()
    steps = errors.mean(axis=0)
    if len(steps) > 1:
        values |= {f"mae_step_{step}": value for step, value in enumerate(steps[:STEPS_TOLD_MAX].tolist(), 1)}
    if len(steps) > STEPS_TOLD_MAX:
        warnings.append(f"only the first {STEPS_TOLD_MAX} of {len(steps)} steps have a figure of their own")
    return Measures(metrics=metrics_of(values), predictions=predicted, warnings=tuple(warnings))
