"""LightGBM's boosters and estimators, by onnxmltools.

LightGBM compares with 64 bits, its graph with 32: a value of 64 bits that lies within the rounding of a threshold can
fall to the other side. The comparison finds it; numbers of 32 bits, here and in the training, avoid it.
"""

import copy
import re
from functools import cache
from typing import Any

import numpy as np

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import Conversion
from hotswap_stream.client.publishing.converters.trees import attempt, two_columns
from hotswap_stream.client.publishing.errors import UnsupportedModelError
from hotswap_stream.client.publishing.table import Table, read_table

_HINT = (
    "; LightGBM compares with 64 bits and its graph with 32: train it on X.astype('float32'), so that no value can "
    "fall to the other side of a threshold"
)


_TREE_SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)
_THRESHOLDS = re.compile(r"^threshold=(.*)$", re.MULTILINE)


def convert(model: Any, example: Any) -> Conversion:
    """Return how to make a graph of a booster or an estimator.

    Raises:
        ExampleError: The example is no table.
        UnsupportedModelError: The estimator is not fitted.
    """
    import lightgbm
    import onnxmltools

    booster = _booster(model)
    table = read_table(example)
    converted = rounded(model, booster)
    classes = getattr(model, "classes_", None) if hasattr(model, "predict_proba") else None
    answers = cache(lambda: _answers(model, booster, table))
    return Conversion(
        framework="lightgbm",
        framework_version=lightgbm.__version__,
        converter="onnxmltools",
        converter_version=onnxmltools.__version__,
        attempts=(
            attempt(
                table,
                lambda types: onnxmltools.convert_lightgbm(converted, initial_types=types, zipmap=False),
                answers,
            ),
        ),
        labels=() if classes is None else tuple(str(name) for name in classes),
        classifies=classes is not None or _objective(booster) in ("binary", "multiclass"),
        hint=_HINT,
        ask=answers,
        warnings=table.remarks,
        examples_allow_non_finite=table.allows_non_finite,
    )


def _booster(model: Any) -> Any:
    from lightgbm import Booster, LGBMModel
    from sklearn.exceptions import NotFittedError

    if isinstance(model, Booster):
        return model
    if not isinstance(model, LGBMModel):
        raise UnsupportedModelError(f"{type(model).__name__} of lightgbm is no booster and no estimator")
    try:
        return model.booster_
    except NotFittedError as error:
        raise UnsupportedModelError(f"the estimator is not fitted: call fit before publish ({error})") from error


def rounded(model: Any, booster: Any) -> Any:
    """Return the model with thresholds of 32 bits that tell the same numbers of 32 bits apart as its own do.

    The converter rounds to the nearest, which may be the next number above, and that belongs to the other side.
    """
    from lightgbm import Booster

    # Without their sizes, trees whose texts have changed are read one after the other.
    text = _TREE_SIZES.sub("", _THRESHOLDS.sub(_rounded_down, booster.model_to_string()))
    twin = Booster(model_str=text)
    if type(model).__name__ not in ("LGBMClassifier", "LGBMRegressor"):
        # A ranker is no class that the converter knows, but its booster is.
        return twin
    estimator = copy.copy(model)
    estimator._Booster = twin
    classes = getattr(model, "classes_", None)
    if classes is not None and classes.dtype.kind in "bf":
        # Labels that are numbers are whole ones in a graph.
        estimator._classes = classes.astype(np.int64)
    return estimator


def _rounded_down(found: re.Match[str]) -> str:
    thresholds = np.array(found[1].split(), np.float64)
    rounded = thresholds.astype(np.float32)
    above = rounded > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return "threshold=" + " ".join(repr(float(value)) for value in rounded)


def _objective(booster: Any) -> str:
    return str(booster.dump_model(num_iteration=1).get("objective", "")).partition(" ")[0]


def _answers(model: Any, booster: Any, table: Table) -> list[Array]:
    if model is not booster:
        if hasattr(model, "predict_proba"):
            return [np.asarray(model.predict(table.given)), np.asarray(model.predict_proba(table.given))]
        return [np.asarray(model.predict(table.given))]
    found = np.asarray(booster.predict(table.given))
    if _objective(booster) == "binary":
        return two_columns(found)
    if _objective(booster) == "multiclass":
        return [found.argmax(axis=1), found]
    return [found]
