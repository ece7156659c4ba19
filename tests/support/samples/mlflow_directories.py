"""Model directories as MLflow itself writes them: `python mlflow_directories.py FOLDER`, in a process of its own.

MLflow changes much in the process that imports it, and it warns of what we come for: its pickles.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROWS = np.random.default_rng(5).normal(size=(200, 4)).astype("float32")
LABELS = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)


def write(folder: Path) -> None:
    """Write one directory for each way to log a model."""
    import lightgbm
    import mlflow
    import pandas as pd
    import xgboost
    from mlflow.models import infer_signature
    from skl2onnx import to_onnx
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    bare: dict[str, Any] = {"pip_requirements": []}
    estimator = LogisticRegression().fit(ROWS, LABELS)
    graph = to_onnx(estimator, ROWS[:1], options={"zipmap": False})
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(ROWS, LABELS), 5)
    trees = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(ROWS, LABELS), 5)
    frame = pd.DataFrame({"size": ROWS[:, 0], "kind": np.where(ROWS[:, 1] > 0, "cat", "dog")})
    pipeline = make_pipeline(
        ColumnTransformer([("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"])], remainder="passthrough"),
        LogisticRegression(),
    ).fit(frame, LABELS)

    # With its weights in a file beside it, which is how MLflow saves graphs unless it is told otherwise.
    mlflow.onnx.save_model(graph, folder / "onnx", **bare)
    mlflow.xgboost.save_model(booster, folder / "xgboost", **bare)
    mlflow.xgboost.save_model(
        xgboost.XGBClassifier(n_estimators=5).fit(ROWS, LABELS),
        folder / "xgboost-estimator",
        model_format="json",
        **bare,
    )
    mlflow.lightgbm.save_model(trees, folder / "lightgbm", **bare)
    mlflow.lightgbm.save_model(
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(ROWS, LABELS), folder / "lightgbm-estimator", **bare
    )
    mlflow.sklearn.save_model(
        pipeline, folder / "skops", input_example=frame[:50], signature=infer_signature(frame, LABELS), **bare
    )
    mlflow.sklearn.save_model(estimator, folder / "pickle", serialization_format="pickle", **bare)
    mlflow.sklearn.save_model(estimator, folder / "cloudpickle", serialization_format="cloudpickle", **bare)
    mlflow.pyfunc.save_model(folder / "pyfunc", python_model=lambda model_input: model_input, **bare)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(Path(sys.argv[1]))
