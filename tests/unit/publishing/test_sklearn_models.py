"""scikit-learn's estimators and pipelines as graphs: they answer as before, or they are refused with a way out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from hotswap_stream.client.publishing.errors import ConversionDiffersError, ExampleError, UnsupportedModelError
from hotswap_stream.client.publishing.preparing import Prepared, prepared
from hotswap_stream.client.publishing.running import run_graph
from hotswap_stream.client.publishing.wishes import Wishes

FEATURES, CLASSES = load_breast_cancer(return_X_y=True)
PEOPLE = pd.DataFrame(
    {
        "age of a person": [20.5, 30.0, np.nan, 50.5] * 25,
        "city": ["Bern", "Basel", "Genf", "Bern"] * 25,
        "children": [1, 2, 3, 4] * 25,
        "member": [True, False] * 50,
    }
)
ANSWERS = np.array(["no", "yes", "perhaps", "no"] * 25)


@pytest.fixture(scope="module")
def forest() -> Any:
    return RandomForestClassifier(10, random_state=0).fit(FEATURES, CLASSES)


def published(model: Any, example: Any, **wishes: Any) -> tuple[Prepared, onnx.ModelProto]:
    """What would be uploaded, and its graph."""
    with prepared(model, Wishes(example=example, **wishes)) as made:
        return made, onnx.load(made.file)


def inputs_of(graph: onnx.ModelProto) -> dict[str, int]:
    return {value.name: value.type.tensor_type.elem_type for value in graph.graph.input}


def people_model(last: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["age of a person", "children"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("rest", "passthrough", ["member"]),
        ]
    )
    return Pipeline([("columns", columns), ("last", last)])


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), LinearSVC(random_state=0)),
        HistGradientBoostingClassifier(max_iter=5),
    ],
    ids=["probabilities", "decision function", "boosting"],
)
def test_a_classifier_answers_as_before(model: Any) -> None:
    made, _ = published(model.fit(FEATURES, CLASSES), FEATURES)
    assert made.comparison is not None
    assert made.comparison.label_agreement == 1.0
    assert made.comparison.rows == len(FEATURES)
    assert made.options.labels == ("0", "1")
    assert made.tags["framework"] == "scikit-learn"
    assert made.tags["converter"] == "skl2onnx"
    assert made.environment["scikit-learn"] == made.tags["framework_version"]


def test_a_regressor_and_a_detector_answer_as_before() -> None:
    features, targets = load_diabetes(return_X_y=True)
    made, _ = published(RandomForestRegressor(5, random_state=0).fit(features, targets), features)
    assert made.comparison is not None
    assert made.comparison.label_agreement is None
    assert made.comparison.metrics()["conversion.max_relative_difference"] < 1e-6
    made, _ = published(IsolationForest(n_estimators=5, random_state=0).fit(features), features)
    assert made.comparison is not None
    assert made.comparison.label_agreement == 1.0


def test_no_score_is_a_map(forest: Any) -> None:
    made, graph = published(forest, FEATURES)
    assert [value.type.WhichOneof("value") for value in graph.graph.output] == ["tensor_type", "tensor_type"]
    assert made.tags["conversion"] == "float32"
    assert inputs_of(graph) == {"x": onnx.TensorProto.FLOAT}


def test_columns_are_inputs_by_their_names() -> None:
    made, graph = published(people_model(RandomForestClassifier(5, random_state=0)).fit(PEOPLE, ANSWERS), PEOPLE)
    assert inputs_of(graph) == {
        "age of a person": onnx.TensorProto.FLOAT,
        "city": onnx.TensorProto.STRING,
        "children": onnx.TensorProto.INT64,
        "member": onnx.TensorProto.BOOL,
    }
    assert made.options.labels == ("no", "perhaps", "yes")
    assert made.options.allow_non_finite, "the example has a missing age"
    assert any("NaN" in warning for warning in made.warnings)


def test_columns_of_numbers_are_put_side_by_side_for_a_model_that_takes_no_names() -> None:
    frame, classes = load_breast_cancer(return_X_y=True, as_frame=True)
    _, graph = published(RandomForestClassifier(5, random_state=0).fit(frame, classes), frame)
    assert list(inputs_of(graph)) == list(frame.columns)


def test_more_columns_than_inputs_go_in_side_by_side() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).random((20, 70))).rename(columns=str)
    model = RandomForestClassifier(3, random_state=0).fit(frame, np.arange(20) % 2)
    made, graph = published(model, frame)
    assert inputs_of(graph) == {"x": onnx.TensorProto.FLOAT}
    assert any("70 columns" in warning for warning in made.warnings)
    with pytest.raises(ExampleError, match="70 columns"):
        published(model, frame.assign(**{"0": "text"}))


def test_a_booster_may_be_the_last_step() -> None:
    classes = (ANSWERS == "no").astype(int)
    made, _ = published(people_model(xgboost.XGBClassifier(n_estimators=3)).fit(PEOPLE, classes), PEOPLE)
    assert made.comparison is not None
    assert made.comparison.label_agreement == 1.0


def test_a_category_that_is_not_known_is_none_in_the_graph() -> None:
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(PEOPLE[["city"]], ANSWERS)
    with prepared(model, Wishes(example=PEOPLE[["city"]])) as made:
        assert any("handle_unknown='ignore'" in warning for warning in made.warnings)
        found = run_graph(made.file, {"city": np.array([["Bern"], ["Paris"]], object)})
    ignoring = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(
        PEOPLE[["city"]], ANSWERS
    )
    wanted = ignoring.predict_proba(pd.DataFrame({"city": ["Bern", "Paris"]}))
    assert np.abs(found["probabilities"] - wanted).max() < 1e-6


def test_texts_go_in() -> None:
    texts = ["a good thing", "a bad thing", "very good", "very bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    _, graph = published(model, texts)
    assert inputs_of(graph) == {"x": onnx.TensorProto.STRING}


def test_numbers_of_64_bits_are_rounded_where_the_forest_rounds_them() -> None:
    """With 32 bits from the start these features lose what tells them apart, with 64 to the end thresholds differ."""
    features = 1e6 + np.random.default_rng(0).random((500, 4))
    model = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0))
    made, graph = published(model.fit(features, features[:, 0] > 1e6 + 0.5), features)
    assert made.tags["conversion"] == "float64 rounded before the trees"
    assert inputs_of(graph) == {"x": onnx.TensorProto.DOUBLE}
    assert made.comparison is not None
    assert made.comparison.label_agreement == 1.0


def test_xgboost_rounds_too() -> None:
    features, targets = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=5)).fit(features, targets)
    made, _ = published(model, features)
    assert made.tags["conversion"] == "float64 rounded before the trees"


def test_a_model_that_no_way_of_converting_keeps_is_refused_with_its_worst_row() -> None:
    features = 1e6 + np.random.default_rng(0).random((500, 4))
    model = HistGradientBoostingClassifier(max_iter=5).fit(features, features[:, 0] > 1e6 + 0.5)
    with pytest.raises(
        ConversionDiffersError, match=r"worst is row \d+: for x=\[1000000.* the model answers .*float32"
    ):
        published(model, features)
    made, _ = published(model, features, difference_max=1.0, label_agreement_min=0.5)
    assert made.comparison is not None
    assert 0.5 < (made.comparison.label_agreement or 0) < 1
    made, _ = published(model, features, compare=False)
    assert made.comparison is None


class OwnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that no converter knows."""

    def fit(self, _features: Any, classes: Any) -> "OwnClassifier":
        self.classes_ = np.unique(classes)
        return self

    def predict(self, features: Any) -> Any:
        return self.classes_[(features[:, 0] > 14).astype(int)]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (RandomForestClassifier(), "call fit before publish"),
        (OwnClassifier().fit(FEATURES, CLASSES), "update_registered_converter"),
        (RandomForestClassifier, "is a class"),
        (RandomForestClassifier(2).fit(FEATURES, np.stack([CLASSES, CLASSES], 1)), "a model for each target"),
    ],
    ids=["not fitted", "unknown", "a class", "two targets"],
)
def test_what_cannot_be_converted_is_refused_with_a_way_out(model: Any, said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        published(model, FEATURES)


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (None, "compare=False"),
        (FEATURES[0], r"reshape\(1, -1\)"),
        (FEATURES[:, :5], "5 features"),
        (FEATURES[:0], "no rows"),
        ([["a"] * 30], "float"),
        (FEATURES.astype("datetime64[s]"), "datetime64"),
    ],
    ids=["none", "one row", "other features", "no rows", "texts", "dates"],
)
def test_an_example_that_does_not_fit_is_refused(forest: Any, example: Any, said: str) -> None:
    with pytest.raises(ExampleError, match=said):
        published(forest, example)


def test_a_missing_text_is_named() -> None:
    frame = PEOPLE.assign(city=["Bern", None] * 50)
    with pytest.raises(ExampleError, match=r"column 'city' holds .* in row 1"):
        published(people_model(LogisticRegression()).fit(PEOPLE.fillna({"age of a person": 1}), ANSWERS), frame)


def test_without_an_example_nothing_is_compared_and_zeros_tell_the_shape(forest: Any) -> None:
    made, graph = published(forest, None, compare=False)
    assert made.comparison is None
    assert inputs_of(graph) == {"x": onnx.TensorProto.FLOAT}
    with pytest.raises(ExampleError, match="by their names"):
        published(
            people_model(LogisticRegression()).fit(PEOPLE.dropna(), ANSWERS[PEOPLE.notna().all(axis=1)]),
            None,
            compare=False,
        )


def test_what_was_made_is_deleted_afterwards(forest: Any) -> None:
    def folder() -> Iterator[Path]:
        with prepared(forest, Wishes(example=FEATURES)) as made:
            assert run_graph(made.file, {"x": FEATURES.astype(np.float32)})
            yield made.file.parent

    (left,) = folder()
    assert not left.exists()
