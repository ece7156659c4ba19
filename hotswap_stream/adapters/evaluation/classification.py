"""Measuring classes: accuracy, macro F1, log loss and ROC AUC, by scikit-learn."""

import numpy as np

from hotswap_stream.adapters.evaluation.classes import classes_of
from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs, metrics_of

_SUM_ROUNDING = 1e-3
"""How far the sum of a row's probabilities may be from 1: half precision rounds."""


def measure_classes(outputs: ModelOutputs, labelled: LabelledSet) -> Measures:
    """Return how the model's classes are, and, where it gives scores of all classes, how sure it is of them.

    Scores that are no probabilities are taken for logits.

    Raises:
        ValidationSetError: No output fits, it holds NaN, or labels are not among the model's classes.
    """
    from sklearn import metrics

    found = classes_of(outputs, labelled)
    values = {
        "accuracy": metrics.accuracy_score(found.true, found.predicted),
        "macro_f1": metrics.f1_score(found.true, found.predicted, average="macro", zero_division=0),
    }
    warnings = list(found.warnings)
    if found.scores is not None:
        shares, are_logits = _shares(found.scores)
        if are_logits:
            warnings.append("the scores are no probabilities; they are taken for logits")
        count = shares.shape[1]
        values["log_loss"] = metrics.log_loss(found.true, shares, labels=np.arange(count))
        if len(np.unique(found.true)) < count:
            warnings.append("roc_auc is left out: some classes of the model have no row in the set")
        elif count == 2:
            values["roc_auc"] = metrics.roc_auc_score(found.true, shares[:, 1])
        else:
            values["roc_auc"] = metrics.roc_auc_score(found.true, shares, multi_class="ovr", average="macro")
    names = np.array(found.names, object)
    return Measures(metrics=metrics_of(values), predictions=names[found.predicted], warnings=tuple(warnings))


def _shares(scores: Array) -> tuple[Array, bool]:
    """Return probabilities, and whether the scores were logits."""
    sums = scores.sum(axis=1, keepdims=True)
    if (scores >= 0).all() and (np.abs(sums - 1) <= _SUM_ROUNDING).all():
        return scores / sums, False
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), True
