"""Which of a directory's flavors is taken, and what is said of those that cannot be."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from hotswap_stream.application.mlflow.importing.conversion import How
from hotswap_stream.application.mlflow.importing.folder import plain_name
from hotswap_stream.application.mlflow.importing.mlmodel import MlModel
from hotswap_stream.application.mlflow.source import SourceRefusedError

PUBLISH = "hand the model to hotswap_stream.client.publish where it was trained"
_NEVER = "what must be unpickled can run any code, so it is never opened"
_LOG_ONNX = "log its graph with mlflow.onnx.log_model"

_XGBOOST_CLASSES = {
    "xgboost.core.Booster": "Booster",
    "xgboost.sklearn.XGBClassifier": "XGBClassifier",
    "xgboost.sklearn.XGBRegressor": "XGBRegressor",
    "xgboost.sklearn.XGBRFClassifier": "XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor": "XGBRFRegressor",
}

_WAYS_OUT = {
    "catboost": "save it with save_model(format='onnx'), and log that with mlflow.onnx.log_model",
    "keras": "export it with model.export(format='onnx'), and log that with mlflow.onnx.log_model",
    "tensorflow": "convert it with tf2onnx, and log that with mlflow.onnx.log_model",
    "transformers": "export it with Optimum to ONNX, and log that with mlflow.onnx.log_model",
    "sentence_transformers": "export it with Optimum to ONNX, and log that with mlflow.onnx.log_model",
    "spark": "convert it with onnxmltools, and log that with mlflow.onnx.log_model",
    "h2o": "H2O exports no graph: train it with another framework, or serve it with a runtime plug-in",
    "python_function": "it is Python code in a pickle: make an ONNX graph of it, or serve it with a runtime plug-in of "
    "your own, from an installed package",
}


class Chosen(Struct, frozen=True, kw_only=True):
    """What is made of a directory."""

    flavor: str
    how: How
    file: str
    """The model itself, a name in the directory."""
    model_class: str | None = None
    """Which of XGBoost's classes the file is opened with."""

    def wants(self, name: str) -> bool:
        """Return whether a file of the directory is needed for it."""
        if name == self.file:
            return True
        # The names of files with weights are in the graph, which nobody has read yet.
        folder = self.file.rpartition("/")[0]
        beside = name.startswith(f"{folder}/") if folder else "/" not in name
        return self.how == "onnx" and beside and not name.endswith((".yaml", ".txt", ".pkl", ".json", "MLmodel"))


def choose(model: MlModel, files: Collection[str]) -> Chosen:
    """Return which flavor is taken: a graph before all others, since nothing has to be made of it.

    Args:
        model: What the directory says of itself.
        files: What is in it.

    Raises:
        SourceRefusedError: None can be; the message says why for each, and what would do.
    """
    graphs = [name for name in files if name.endswith(".onnx")]
    reasons: list[str] = []
    for flavor in ("onnx", "xgboost", "lightgbm", "sklearn", "pytorch"):
        if flavor not in model.flavors:
            continue
        found = _CHOOSERS[flavor](model.flavors[flavor])
        if isinstance(found, Chosen):
            if found.file in files:
                return found
            found = f"flavor {flavor!r} names the file {found.file!r}, and there is none{_instead(found, files)}"
        reasons.append(found)
    if len(graphs) == 1:
        named = next((name for name in model.flavors if name != "python_function"), "python_function")
        return Chosen(flavor=named, how="onnx", file=plain_name(graphs[0], "the graph"))
    if not reasons:
        others = [name for name in model.flavors if name != "python_function"] or ["python_function"]
        reasons = [f"flavor {name[:100]!r} is not imported: {_WAYS_OUT.get(name, _LOG_ONNX)}" for name in others[:4]]
    raise SourceRefusedError("; ".join(reasons))


def _onnx(flavor: dict[str, Any]) -> Chosen | str:
    return Chosen(flavor="onnx", how="onnx", file=plain_name(flavor.get("data"), "the graph of flavor 'onnx'"))


def _xgboost(flavor: dict[str, Any]) -> Chosen | str:
    file = plain_name(flavor.get("data"), "the model of flavor 'xgboost'")
    name = flavor.get("model_class", "xgboost.core.Booster")
    if name not in _XGBOOST_CLASSES:
        return (
            f"flavor 'xgboost' holds a {str(name)[:100]!r}; a Booster, a classifier or a regressor is taken: {PUBLISH}"
        )
    return Chosen(flavor="xgboost", how="xgboost", file=file, model_class=_XGBOOST_CLASSES[name])


def _lightgbm(flavor: dict[str, Any]) -> Chosen | str:
    file = plain_name(flavor.get("data"), "the model of flavor 'lightgbm'")
    if flavor.get("model_class", "lightgbm.basic.Booster") == "lightgbm.basic.Booster":
        return Chosen(flavor="lightgbm", how="lightgbm", file=file)
    if flavor.get("serialization_format") == "skops":
        return Chosen(flavor="lightgbm", how="skops", file=file)
    return (
        f"flavor 'lightgbm' holds an estimator in {file[:200]!r}, which is a pickle, and {_NEVER}: log its booster "
        "(mlflow.lightgbm.log_model(model.booster_)), or log it with serialization_format='skops'"
    )


def _sklearn(flavor: dict[str, Any]) -> Chosen | str:
    file = plain_name(flavor.get("pickled_model"), "the model of flavor 'sklearn'")
    kind = str(flavor.get("serialization_format", "pickle"))[:50]
    if kind == "skops":
        return Chosen(flavor="sklearn", how="skops", file=file)
    return (
        f"flavor 'sklearn' holds a {kind} in {file[:200]!r}, and {_NEVER}: log the model with "
        f"serialization_format='skops', {_LOG_ONNX}, or {PUBLISH}"
    )


def _pytorch(flavor: dict[str, Any]) -> Chosen | str:
    folder = plain_name(flavor.get("model_data"), "the data of flavor 'pytorch'")
    return Chosen(flavor="pytorch", how="pt2", file=f"{folder}/model.pt2")


def _instead(chosen: Chosen, files: Collection[str]) -> str:
    if chosen.how != "pt2" or not any(name.endswith((".pth", ".pt")) for name in files):
        return ""
    return (
        f"; what is there instead is a pickle, and {_NEVER}: log the model with serialization_format='pt2' and an "
        f"input example, {_LOG_ONNX}, or {PUBLISH}"
    )


_CHOOSERS = {"onnx": _onnx, "xgboost": _xgboost, "lightgbm": _lightgbm, "sklearn": _sklearn, "pytorch": _pytorch}
