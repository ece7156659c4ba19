"""Measuring rankings: the hit rate and the discounted gain among the first k items."""

import numpy as np

from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs, metrics_of, numbers_like
from hotswap_stream.application.training.validation_sets import ValidationSetError

FIRST_ITEMS = (1, 5, 10)
"""k, or the number of items if there are fewer."""


def measure_rankings(outputs: ModelOutputs, labelled: LabelledSet) -> Measures:
    """Return how well the model's scores rank the items of each row by `relevance`, [rows, items].

    HR@k is the share of rows with a relevant item (above 0) among the k with the highest scores; where scores are
    equal, relevant items come last. NDCG@k is scikit-learn's, with relevances as gains.

    Raises:
        ValidationSetError: No output fits, or it holds NaN.
    """
    from sklearn.metrics import ndcg_score

    relevance = labelled.truths["relevance"].astype(np.float64)
    items = relevance.shape[1]
    if items < 2:
        raise ValidationSetError("'relevance' has one item a row, and one item has no order; two are needed")
    _, scores = numbers_like(outputs, labelled, "relevance")
    ranks = _best_ranks(relevance, scores)
    values: dict[str, float] = {}
    for first in FIRST_ITEMS:
        if first <= items:
            values[f"hr_at_{first}"] = float((ranks < first).mean())
            values[f"ndcg_at_{first}"] = float(ndcg_score(relevance, scores, k=first))
    without = int((relevance <= 0).all(axis=1).sum())
    warnings = (f"{without} rows have no relevant item; they count as misses",) if without else ()
    best = scores.argmax(axis=1).astype(np.int64)
    return Measures(metrics=metrics_of(values), predictions=best, warnings=warnings)


def _best_ranks(relevance: Array, scores: Array) -> Array:
    """Return for each row how many irrelevant items come before its best relevant one, or at the same score."""
    relevant = relevance > 0
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    before = ((scores >= best) & ~relevant).sum(axis=1)
    ranks: Array = np.where(relevant.any(axis=1), before, scores.shape[1])
    return ranks
