"""The demo's model of somebody else: random forests of scikit-learn on its breast cancer data, 30 numbers a row."""

from typing import Any

import numpy as np
from msgspec import Struct


class Forest(Struct, frozen=True):
    """A fitted estimator, and rows that it has not seen."""

    estimator: Any
    example: Any
    """Rows of its training, float32 [rows, 30]."""
    rows: Any
    """Held-out rows, float32 [rows, 30]."""
    predicted: Any
    """What the estimator itself says of them, int64 [rows]."""
    accuracy: float
    """The share of right answers among those, 0 to 1."""


def grown_forest(trees: int) -> Forest:
    """Fit a forest on every other row of the data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    features, target = load_breast_cancer(return_X_y=True)
    features = features.astype(np.float32)
    estimator = RandomForestClassifier(trees, random_state=0).fit(features[::2], target[::2])
    rows, wanted = features[1::2], target[1::2]
    predicted = estimator.predict(rows)
    return Forest(estimator, features[::2][:200], rows, predicted, float((predicted == wanted).mean()))
