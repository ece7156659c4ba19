"""XGBoost's boosters and estimators, by onnxmltools. XGBoost computes with 32 bits, as its graph does."""

import copy
from functools import cache
from typing import Any

import msgspec
import numpy as np

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import Conversion
from hotswap_stream.client.publishing.converters.trees import attempt, two_columns
from hotswap_stream.client.publishing.errors import UnsupportedModelError
from hotswap_stream.client.publishing.table import Table, read_table


def convert(model: Any, example: Any) -> Conversion:
    """Return how to make a graph of a booster or an estimator.

    Raises:
        ExampleError: The example is no table.
        UnsupportedModelError: The estimator is not fitted, or ranks.
    """
    import onnxmltools
    import xgboost

    if "Ranker" in type(model).__name__:
        raise UnsupportedModelError(
            "onnxmltools does not convert XGBRanker: train an XGBRegressor on the relevance, or LightGBM's ranker"
        )
    booster = _booster(model)
    table = read_table(example)
    bare = _without_names(model)
    classes = getattr(model, "classes_", None) if hasattr(model, "predict_proba") else None
    answers = cache(lambda: _answers(model, booster, table))
    return Conversion(
        framework="xgboost",
        framework_version=xgboost.__version__,
        converter="onnxmltools",
        converter_version=onnxmltools.__version__,
        attempts=(attempt(table, lambda types: onnxmltools.convert_xgboost(bare, initial_types=types), answers),),
        labels=() if classes is None else tuple(str(name) for name in classes),
        classifies=classes is not None or _objective(booster).startswith(("binary:", "multi:")),
        ask=answers,
        warnings=table.remarks,
        examples_allow_non_finite=table.allows_non_finite,
    )


def _booster(model: Any) -> Any:
    from sklearn.exceptions import NotFittedError
    from xgboost import Booster, XGBModel

    if isinstance(model, Booster):
        return model
    if not isinstance(model, XGBModel):
        raise UnsupportedModelError(f"{type(model).__name__} of xgboost is no booster and no estimator")
    try:
        return model.get_booster()
    except NotFittedError as error:
        raise UnsupportedModelError(f"the estimator is not fitted: call fit before publish ({error})") from error


def _without_names(model: Any) -> Any:
    """Return a copy whose features have no names: the converter knows `f0`, `f1`, … only."""
    bare = copy.deepcopy(model)
    booster = bare if not hasattr(bare, "get_booster") else bare.get_booster()
    booster.feature_names = None
    booster.feature_types = None
    return bare


def _objective(booster: Any) -> str:
    name: str = msgspec.json.decode(booster.save_config())["learner"]["objective"]["name"]
    return name


def _answers(model: Any, booster: Any, table: Table) -> list[Array]:
    if model is not booster:
        if hasattr(model, "predict_proba"):
            return [np.asarray(model.predict(table.given)), np.asarray(model.predict_proba(table.given))]
        return [np.asarray(model.predict(table.given))]
    from xgboost import DMatrix

    data = DMatrix(table.given if booster.feature_names else table.matrix)
    found = np.asarray(booster.predict(data, validate_features=False))
    objective = _objective(booster)
    if objective == "binary:logistic":
        return two_columns(found)
    if objective == "multi:softprob":
        return [found.argmax(axis=1), found]
    if objective.startswith(("binary:", "multi:")):
        raise UnsupportedModelError(
            f"a booster of objective {objective!r} has no scores to compare: train it with binary:logistic or "
            "multi:softprob"
        )
    return [found]
