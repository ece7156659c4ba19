"""Models of other people's frameworks, two versions of each, and what their own libraries answer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightgbm
import magika
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import silero_vad
import torch
import xgboost
from msgspec import Struct
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hotswap_stream.client.publishing.preparing import prepared
from hotswap_stream.client.publishing.wishes import Wishes
from tests.support.samples.transformer import Block

Tensors = Mapping[str, Any]

GRAPH_OF_MAGIKA = Path(magika.__file__).parent / "models" / "standard_v3_3" / "model.onnx"
GRAPH_OF_SILERO = Path(silero_vad.__file__).parent / "data" / "silero_vad.onnx"
FEW: dict[str, Any] = {"n_estimators": 7, "max_depth": 3}


class Sample(Struct, frozen=True, kw_only=True):
    """Two versions of a model."""

    versions: tuple[Any, Any]
    """What `publish` takes."""
    inputs: Tensors
    wanted: tuple[Tensors, Tensors]
    """What each version answers to the inputs, as its own library says."""
    example: Any = None
    difference_max: float = 1e-6


def magika_model(folder: Path) -> Sample:
    """Return the file types of Google's magika; the second version differs in its bytes alone."""
    rows = np.random.default_rng(0).integers(0, 256, (4, 2_048)).astype(np.int32)
    return _graphs(folder, GRAPH_OF_MAGIKA, lambda graph: None, {"bytes": rows}, row_by_row=True)  # noqa: ARG005


def silero_model(folder: Path) -> Sample:
    """Return the voice detector; its state comes in and goes out."""
    window = np.random.default_rng(0).normal(0, 0.3, (1, 512)).astype(np.float32)
    state = np.random.default_rng(1).normal(0, 0.1, (2, 1, 128)).astype(np.float32)
    inputs = {"input": window, "state": state, "sr": np.array(16_000, np.int64)}
    return _graphs(folder, GRAPH_OF_SILERO, lambda graph: None, inputs)  # noqa: ARG005


def transformer_model(folder: Path) -> Sample:
    """Return a block exported with free length, asked with another length than that of its example."""
    torch.manual_seed(0)
    block, tokens, asked = Block().eval(), torch.randint(0, 100, (6, 7)), torch.randint(0, 100, (3, 29))
    file = folder / "block.onnx"
    with prepared(block, Wishes(example=tokens, free={"tokens": [1]})) as made:
        file.write_bytes(Path(made.file).read_bytes())
    with torch.no_grad():
        first = block(asked).numpy()

    def raise_bias(graph: onnx.ModelProto) -> None:
        [bias] = [each for each in graph.graph.initializer if each.name == "head.bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))

    made_of = _graphs(folder, file, raise_bias, {"tokens": asked.numpy()})
    wanted = {"output": first}, {"output": first + 1}
    return Sample(versions=made_of.versions, inputs=made_of.inputs, wanted=wanted, difference_max=1e-5)


def string_columns(_folder: Path) -> Sample:
    """Return pipelines of scikit-learn over columns of texts and numbers."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "city": random.choice(["Wien", "Łódź", "Bern"], 200),
            "age": random.uniform(18, 90, 200).astype(np.float32),
        }
    )
    classes = np.where((frame["city"] == "Bern") ^ (frame["age"] > 50), "yes", "no")

    def fitted(strength: float) -> Any:
        columns = ColumnTransformer([("city", OneHotEncoder(), ["city"]), ("age", StandardScaler(), ["age"])])
        return make_pipeline(columns, LogisticRegression(C=strength)).fit(frame, classes)

    models = fitted(1.0), fitted(0.01)
    rows = frame.iloc[:5]
    inputs = {
        "city": rows[["city"]].to_numpy(object),
        "age": rows[["age"]].to_numpy(np.float32),
    }
    return Sample(versions=models, inputs=inputs, wanted=_answers(models, rows), example=frame)


def xgboost_classifier(_folder: Path) -> Sample:
    """Return XGBoost's classifiers of tumours."""
    return _estimators(lambda **given: xgboost.XGBClassifier(**FEW, **given), load_breast_cancer)


def xgboost_regressor(_folder: Path) -> Sample:
    """Return XGBoost's regressors."""
    return _estimators(lambda **given: xgboost.XGBRegressor(**FEW, **given), load_diabetes)


def lightgbm_classifier(_folder: Path) -> Sample:
    """Return LightGBM's classifiers of tumours."""
    return _estimators(
        lambda **given: lightgbm.LGBMClassifier(**FEW, **given, n_jobs=1, verbose=-1), load_breast_cancer
    )


def lightgbm_regressor(_folder: Path) -> Sample:
    """Return LightGBM's regressors."""
    return _estimators(lambda **given: lightgbm.LGBMRegressor(**FEW, **given, n_jobs=1, verbose=-1), load_diabetes)


SAMPLES: dict[str, Callable[[Path], Sample]] = {
    "magika": magika_model,
    "silero-vad": silero_model,
    "transformer": transformer_model,
    "string-columns": string_columns,
    "xgboost-classifier": xgboost_classifier,
    "xgboost-regressor": xgboost_regressor,
    "lightgbm-classifier": lightgbm_classifier,
    "lightgbm-regressor": lightgbm_regressor,
}


def _estimators(build: Callable[..., Any], load: Callable[..., Any]) -> Sample:
    features, wanted = load(return_X_y=True)
    first, second = (build(learning_rate=rate).fit(features, wanted) for rate in (0.3, 0.05))
    rows = features[:5].astype(np.float32)
    return Sample(
        versions=(first, second),
        inputs={"x": rows},
        wanted=_answers((first, second), rows),
        example=features,
    )


def _answers(models: tuple[Any, ...], rows: Any) -> tuple[Tensors, Tensors]:
    first, second = (
        {"label": model.predict(rows), "probabilities": model.predict_proba(rows)}
        if hasattr(model, "predict_proba")
        else {"variable": model.predict(rows)}
        for model in models
    )
    return first, second


def _graphs(
    folder: Path, file: Path, change: Callable[[onnx.ModelProto], None], inputs: Tensors, *, row_by_row: bool = False
) -> Sample:
    graph = onnx.load(file)
    graph.doc_string = "the second version"
    change(graph)
    second = folder / "second.onnx"
    onnx.save(graph, second)
    first, other = (_run(path, inputs, row_by_row=row_by_row) for path in (file, second))
    return Sample(versions=(file, second), inputs=inputs, wanted=(first, other))


def _run(file: Path, inputs: Tensors, *, row_by_row: bool) -> Tensors:
    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    if not row_by_row:
        return dict(zip(names, session.run(None, dict(inputs)), strict=True))
    rows = len(next(iter(inputs.values())))
    answers = [session.run(None, {name: array[[row]] for name, array in inputs.items()}) for row in range(rows)]
    return {name: np.concatenate([answer[number] for answer in answers]) for number, name in enumerate(names)}
