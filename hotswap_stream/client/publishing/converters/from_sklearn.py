"""scikit-learn's estimators and pipelines, by skl2onnx. What they compute with 64 bits is converted with care.

Thresholds of trees are the trap: a value just above one with 64 bits can be just below it with 32. Each way is compared
with the model, and the first one that holds is taken: inputs of 32 bits, which is what most callers send; then inputs
of 64 bits that are rounded right before trees that round them themselves, as forests of scikit-learn and XGBoost do;
then 64 bits throughout.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import GRAPH_NAME, Attempt, Built, Conversion
from hotswap_stream.client.publishing.converters.boosters_in_sklearn import register_boosters, with_rounded_thresholds
from hotswap_stream.client.publishing.converters.plain_attributes import let_attributes_be_plain
from hotswap_stream.client.publishing.errors import UnsupportedModelError
from hotswap_stream.client.publishing.graph_edits import (
    allow_unknown_categories,
    join_columns,
    one_opset_each,
    rename_inputs,
)
from hotswap_stream.client.publishing.table import MATRIX, Column, Table, as_floats, read_table

OPSETS = {"": 18, "ai.onnx.ml": 3}
LOCALE = "C.UTF-8"
"""Locale for texts in lower case: the graph's default is English, which slim containers do not have."""

_HINT = (
    "; if the model was trained on numbers of 64 bits, train it on X.astype('float32'), so that no value can fall to "
    "the other side of a threshold"
)
_UNKNOWN_CATEGORIES = (
    "a OneHotEncoder of the model raises at a category that it does not know; in the graph it is none of them, as "
    "with handle_unknown='ignore'"
)
_ROUNDING = ("sklearn.tree", "sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.ensemble._iforest", "xgboost")


def convert(model: Any, example: Any) -> Conversion:
    """Return how to make a graph of an estimator or a pipeline.

    Raises:
        ExampleError: The example is no table.
        UnsupportedModelError: The estimator is not fitted.
    """
    import skl2onnx
    import sklearn

    _check_fitted(model)
    table = read_table(example)
    register_boosters(model)
    converted = with_rounded_thresholds(model)
    let_attributes_be_plain()
    answers = cache(lambda: _answers(model, table))
    classes = getattr(model, "classes_", ())
    return Conversion(
        framework="scikit-learn",
        framework_version=sklearn.__version__,
        converter="skl2onnx",
        converter_version=skl2onnx.__version__,
        attempts=tuple(_attempts(converted, table, answers)),
        labels=tuple(str(name) for name in classes) if isinstance(classes, np.ndarray) else (),
        classifies=hasattr(model, "classes_"),
        hint=_HINT,
        ask=answers,
        warnings=table.remarks,
        examples_allow_non_finite=table.allows_non_finite,
    )


def _check_fitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise UnsupportedModelError(f"the estimator is not fitted: call fit before publish ({error})") from error
    except TypeError as error:
        raise UnsupportedModelError(
            f"{type(model).__name__} is no estimator: {error}; hand in a fitted estimator or pipeline"
        ) from error


def _attempts(model: Any, table: Table, answers: Callable[[], list[Array]]) -> Iterator[Attempt]:
    rounding = _rounded_before_trees(model)
    for bits, integers in (("float32", "kept"), ("float32", "float32"), ("float64", "kept"), ("float64", "float64")):
        if table.columns is None and integers == "kept":
            continue
        chosen = [(rounding, " rounded before the trees")] if bits == "float64" and rounding is not None else []
        for estimator, how in [*chosen, (model, "")]:
            words = f"{bits}{how}" + ("" if integers == "kept" else ", integers as floats")
            if table.columns is None:
                build = _matrix_builder(estimator, table, bits, answers)
                yield Attempt(words=f"{bits}{how}", build=build)
                continue
            yield Attempt(words=words, build=_columns_builder(estimator, table.columns, bits, integers, answers))
    if table.matrix is not None and (table.columns is None or len(table.columns) > 1):
        if table.columns is None:
            if table.matrix.dtype.kind in "iu":
                yield Attempt(words="integers", build=_matrix_builder(model, table, "int64", answers))
            return
        for bits in ("float32", "float64"):
            chosen = [(rounding, " rounded before the trees")] if bits == "float64" and rounding is not None else []
            for estimator, how in [*chosen, (model, "")]:
                words = f"{bits}{how}, columns side by side"
                yield Attempt(words=words, build=_matrix_builder(estimator, table, bits, answers))


def _rounded_before_trees(model: Any) -> Any | None:
    """Return the model with a step that rounds to 32 bits right before its trees; None if it does not end in trees."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    steps = list(model.steps) if isinstance(model, Pipeline) else [("model", model)]
    if not type(steps[-1][1]).__module__.startswith(_ROUNDING):
        return None
    return Pipeline([*steps[:-1], ("hotswap_rounding", CastTransformer(dtype=np.float32)), steps[-1]])


def _matrix_builder(
    estimator: Any, table: Table, dtype: str, answers: Callable[[], list[Array]]
) -> Callable[[Path], Built]:
    """One input, all columns side by side; a DataFrame's columns are put side by side within the graph."""

    def build(folder: Path) -> Built:
        from skl2onnx.common import data_types

        kinds = {
            "float32": data_types.FloatTensorType,
            "float64": data_types.DoubleTensorType,
            "int64": data_types.Int64TensorType,
        }
        matrix = table.matrix
        if matrix is None:
            raise UnsupportedModelError("columns of texts cannot stand side by side with numbers")
        if matrix.dtype.kind == "O":
            kind, fed = data_types.StringTensorType, matrix
        else:
            kind, fed = kinds[dtype], as_floats(matrix, dtype)
        graph = _convert(estimator, [(MATRIX, kind([None, *matrix.shape[1:]]))])
        inputs = {MATRIX: fed}
        if table.columns is not None:
            join_columns(graph, table.columns)
            inputs = {column.name: _fed(column, dtype, "kept") for column in table.columns}
        return _saved(graph, folder, inputs, answers)

    return build


def _columns_builder(
    estimator: Any, columns: Sequence[Column], bits: str, integers: str, answers: Callable[[], list[Array]]
) -> Callable[[Path], Built]:
    """One input for each column, as a pipeline takes it that picks columns by name."""

    def build(folder: Path) -> Built:
        from skl2onnx.common import data_types

        kinds = {"f4": data_types.FloatTensorType, "f8": data_types.DoubleTensorType}
        kinds |= {"i8": data_types.Int64TensorType, "b1": data_types.BooleanTensorType}
        inputs = {column.name: _fed(column, bits, integers) for column in columns}
        types = [
            (
                name,
                data_types.StringTensorType([None, 1])
                if array.dtype.kind == "O"
                else kinds[array.dtype.str[1:]]([None, 1]),
            )
            for name, array in inputs.items()
        ]
        graph = _convert(estimator, types)
        rename_inputs(graph, list(inputs))
        return _saved(graph, folder, inputs, answers)

    return build


def _fed(column: Column, bits: str, integers: str) -> Array:
    if column.kind == "float" or (column.kind == "integer" and integers != "kept"):
        return column.values.astype(bits)
    return column.values


def _convert(estimator: Any, types: list[tuple[str, Any]]) -> Any:
    """Return the graph, with scores as arrays, raw where there are no probabilities."""
    from skl2onnx import convert_sklearn

    vectorizers = {id(step): {"locale": LOCALE} for step in _steps(estimator) if _is_vectorizer(step)}
    raw = {} if hasattr(estimator, "predict_proba") else {"raw_scores": True}
    last = _last_step(estimator)
    error: NameError | None = None
    for options in ({"zipmap": False, **raw}, raw, {"zipmap": False}, {}):
        try:
            return convert_sklearn(
                estimator,
                # Else it is another one each time, and the same model never the same artifact.
                name="model",
                initial_types=types,
                options={id(last): options, **vectorizers},
                target_opset=OPSETS,
            )
        except NameError as unknown:  # this converter does not have the option
            error = unknown
    assert error is not None  # noqa: S101 - the loop returned or failed
    raise error


def _last_step(estimator: Any) -> Any:
    while hasattr(estimator, "steps") and estimator.steps:
        estimator = estimator.steps[-1][1]
    return estimator


def _is_vectorizer(step: Any) -> bool:
    return type(step).__name__ in ("TfidfVectorizer", "CountVectorizer")


def _steps(estimator: Any) -> Iterator[Any]:
    yield estimator
    for value in estimator.get_params(deep=True).values():
        if hasattr(value, "get_params"):
            yield value


def _saved(graph: Any, folder: Path, inputs: Mapping[str, Array], answers: Callable[[], list[Array]]) -> Built:
    one_opset_each(graph)
    remarks = (_UNKNOWN_CATEGORIES,) if allow_unknown_categories(graph) else ()
    file = folder / GRAPH_NAME
    file.write_bytes(graph.SerializeToString())
    wanted = answers()
    names = [output.name for output in graph.graph.output]
    if len(names) != len(wanted):
        raise UnsupportedModelError(f"the graph has outputs {names}; the model answers {len(wanted)}")
    return Built(file=file, inputs=dict(inputs), wanted=dict(zip(names, wanted, strict=True)), warnings=remarks)


def _answers(model: Any, table: Table) -> list[Array]:
    """Return what the model answers, in the order of skl2onnx's outputs."""
    given = table.given
    if hasattr(model, "predict_proba"):
        found = [model.predict(given), model.predict_proba(given)]
    elif hasattr(model, "classes_") and hasattr(model, "decision_function"):
        scores = model.decision_function(given)
        found = [model.predict(given), np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores]
    elif hasattr(model, "predict") and hasattr(model, "decision_function"):
        found = [model.predict(given), model.decision_function(given)]
    elif hasattr(model, "predict") and hasattr(model, "transform"):
        found = [model.predict(given), model.transform(given)]
    elif hasattr(model, "predict"):
        found = [model.predict(given)]
    elif hasattr(model, "transform"):
        transformed = model.transform(given)
        found = [transformed.toarray() if hasattr(transformed, "toarray") else transformed]
    else:
        raise UnsupportedModelError(f"{type(model).__name__} has neither predict nor transform")
    if any(isinstance(each, list) for each in found):
        raise UnsupportedModelError("a model of several targets is not converted: publish a model for each target")
    return [np.asarray(each) for each in found]
