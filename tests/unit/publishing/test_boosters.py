"""XGBoost's and LightGBM's models as graphs."""

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from hotswap_stream.client.publishing.errors import ConversionDiffersError, ExampleError, UnsupportedModelError
from hotswap_stream.client.publishing.preparing import Prepared, prepared
from hotswap_stream.client.publishing.wishes import Wishes

CANCER: tuple[Any, Any] = load_breast_cancer(return_X_y=True)
DIABETES: tuple[Any, Any] = load_diabetes(return_X_y=True)
IRIS: tuple[Any, Any] = load_iris(return_X_y=True)
QUIET: dict[str, Any] = {"verbose": -1}
FEW: dict[str, Any] = {"n_estimators": 5, "n_jobs": 1}


def published(model: Any, example: Any, **wishes: Any) -> tuple[Prepared, onnx.ModelProto]:
    with prepared(model, Wishes(example=example, **wishes)) as made:
        return made, onnx.load(made.file)


def xgb_booster(objective: str, data: tuple[Any, Any], **parameters: Any) -> Any:
    return xgboost.train({"objective": objective, "nthread": 1, **parameters}, xgboost.DMatrix(*data), 5)


def lgb_booster(objective: str, data: tuple[Any, Any], **parameters: Any) -> Any:
    return lightgbm.train(
        {"objective": objective, "num_threads": 1, "verbose": -1, **parameters}, lightgbm.Dataset(*data), 5
    )


# Trained in the test: who only collects needs none, and processes that share the tests are forked after that.
@pytest.mark.parametrize(
    ("trained", "data", "classifies"),
    [
        pytest.param(lambda: xgboost.XGBClassifier(**FEW).fit(*CANCER), CANCER, True, id="XGBClassifier"),
        pytest.param(lambda: xgboost.XGBClassifier(**FEW).fit(*IRIS), IRIS, True, id="XGBClassifier, three classes"),
        pytest.param(lambda: xgboost.XGBRegressor(**FEW).fit(*DIABETES), DIABETES, False, id="XGBRegressor"),
        pytest.param(lambda: xgb_booster("binary:logistic", CANCER), CANCER, True, id="xgboost, two classes"),
        pytest.param(lambda: xgb_booster("multi:softprob", IRIS, num_class=3), IRIS, True, id="xgboost, three classes"),
        pytest.param(lambda: xgb_booster("reg:squarederror", DIABETES), DIABETES, False, id="xgboost, a number"),
        pytest.param(lambda: lightgbm.LGBMClassifier(**FEW, **QUIET).fit(*CANCER), CANCER, True, id="LGBMClassifier"),
        pytest.param(
            lambda: lightgbm.LGBMClassifier(**FEW, **QUIET).fit(*IRIS), IRIS, True, id="LGBMClassifier, three classes"
        ),
        pytest.param(
            lambda: lightgbm.LGBMRegressor(**FEW, **QUIET).fit(*DIABETES), DIABETES, False, id="LGBMRegressor"
        ),
        pytest.param(lambda: lgb_booster("binary", CANCER), CANCER, True, id="lightgbm, two classes"),
        pytest.param(lambda: lgb_booster("multiclass", IRIS, num_class=3), IRIS, True, id="lightgbm, three classes"),
        pytest.param(lambda: lgb_booster("regression", DIABETES), DIABETES, False, id="lightgbm, a number"),
    ],
)
def test_it_answers_as_before(trained: Callable[[], Any], data: tuple[Any, Any], classifies: bool) -> None:
    model = trained()
    made, graph = published(model, data[0])
    assert made.comparison is not None
    assert made.comparison.label_agreement == (1.0 if classifies else None)
    assert made.comparison.metrics()["conversion.max_relative_difference"] < 1e-5
    assert made.tags["framework"] == type(model).__module__.partition(".")[0]
    assert made.tags["converter"] == "onnxmltools"
    # LightGBM's converter declares one label, however many rows there are.
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in graph.graph.output] == ["rows"] * len(
        graph.graph.output
    )


def test_classes_are_the_labels() -> None:
    names = np.array(["malignant", "benign"])[CANCER[1]]
    made, _ = published(lightgbm.LGBMClassifier(**FEW, **QUIET).fit(CANCER[0], names), CANCER[0])
    assert made.options.labels == ("benign", "malignant")
    assert published(xgb_booster("binary:logistic", CANCER), CANCER[0], labels=["a", "b"])[0].options.labels == (
        "a",
        "b",
    )


@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, lightgbm.LGBMClassifier])
def test_columns_are_inputs_by_their_names(kind: Any) -> None:
    frame, classes = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = frame.iloc[:, :3].assign(number=np.arange(len(frame)) % 5, even=np.arange(len(frame)) % 2 == 0)
    made, graph = published(kind(**FEW).fit(frame, classes), frame)
    assert [value.name for value in graph.graph.input] == list(frame.columns)
    kinds = [value.type.tensor_type.elem_type for value in graph.graph.input]
    assert kinds[2:] == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL]
    assert made.comparison is not None
    assert made.comparison.label_agreement == 1.0


def test_missing_values_are_answered_as_before() -> None:
    features = np.where(CANCER[0] > CANCER[0].mean(), np.nan, CANCER[0])
    made, _ = published(xgboost.XGBClassifier(**FEW).fit(features, CANCER[1]), features)
    assert made.options.allow_non_finite


def test_thresholds_that_32_bits_cannot_tell_apart_are_refused() -> None:
    features = 1e6 + np.random.default_rng(0).random((500, 4))
    model = lightgbm.LGBMClassifier(**FEW, **QUIET).fit(features, features[:, 0] > 1e6 + 0.5)
    with pytest.raises(ConversionDiffersError, match=r"LightGBM compares with 64 bits .*astype\('float32'\)"):
        published(model, features)
    rounded = features.astype("float32")
    published(lightgbm.LGBMClassifier(**FEW, **QUIET).fit(rounded, rounded[:, 0] > 1e6 + 0.5), rounded)


@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, lightgbm.LGBMClassifier])
def test_an_estimator_that_is_not_fitted_is_refused(kind: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="call fit before publish"):
        published(kind(), CANCER[0])


def test_what_is_not_converted_is_refused_with_a_way_out() -> None:
    ranker = xgboost.XGBRanker(**FEW).fit(*IRIS, qid=np.repeat(np.arange(15), 10))
    with pytest.raises(UnsupportedModelError, match="train an XGBRegressor on the relevance"):
        published(ranker, IRIS[0])
    with pytest.raises(UnsupportedModelError, match="multi:softprob"):
        published(xgb_booster("multi:softmax", IRIS, num_class=3), IRIS[0])
    frame = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 50)})
    by_kind = lightgbm.LGBMClassifier(**FEW, **QUIET).fit(frame, [0, 1] * 50)
    with pytest.raises(ExampleError, match=r"columns \['kind'\] hold texts or categories"):
        published(by_kind, frame)


def test_a_ranker_of_lightgbm_answers_as_before() -> None:
    ranker = lightgbm.LGBMRanker(**FEW, **QUIET).fit(*IRIS, group=[10] * 15)
    made, _ = published(ranker, IRIS[0])
    assert made.comparison is not None
    assert made.comparison.metrics()["conversion.max_relative_difference"] < 1e-5
