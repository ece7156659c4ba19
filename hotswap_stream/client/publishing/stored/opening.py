"""Opens a stored model with its framework, by the formats that hold no code."""

from pathlib import Path
from typing import Any

from hotswap_stream.application.mlflow.importing.conversion import ConversionOrder
from hotswap_stream.client.publishing.errors import ConverterMissingError, PublishError, UnsupportedModelError

SKOPS_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
"""Beside those that skops itself trusts. The list that a file brings along is no reason to trust anything."""


def opened(order: ConversionOrder) -> Any:
    """Return the model, or its path where the file is a graph.

    Raises:
        PublishError: It cannot be opened, or not without running code of whoever made it.
    """
    file = Path(order.file)
    match order.how:
        case "onnx":
            return file
        case "xgboost":
            return _xgboost(file, order.model_class or "Booster")
        case "lightgbm":
            return _lightgbm(file)
        case "skops":
            return _skops(file)
        case "pt2":
            return _program(file, trusted=order.trusted)


def _xgboost(file: Path, model_class: str) -> Any:
    import xgboost

    # XGBoost tells its formats apart by the ending.
    ending = "json" if file.read_bytes()[:2] in (b'{"', b"{\n", b"{ ") else "ubj"
    named = file.with_name(f"hotswap-booster.{ending}")
    file.rename(named)
    model = getattr(xgboost, model_class)()
    try:
        model.load_model(str(named))
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        raise UnsupportedModelError(f"XGBoost cannot read the booster: {str(error).splitlines()[-1][:300]}") from error
    return model


def _lightgbm(file: Path) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_file=str(file))
    except lightgbm.basic.LightGBMError as error:
        raise UnsupportedModelError(f"LightGBM cannot read the booster: {error}") from error


def _skops(file: Path) -> Any:
    try:
        from skops.io import get_untrusted_types, load
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "skops":
            raise
        raise ConverterMissingError(
            "skops is not installed; it comes with: pip install 'hotswap-stream[mlflow]'"
        ) from error
    untrusted = sorted(set(get_untrusted_types(file=file)) - set(SKOPS_TYPES))
    if untrusted:
        raise PublishError(
            f"the file of skops holds types that are not trusted: {', '.join(untrusted)[:500]}; hand the model to "
            "hotswap_stream.client.publish where it was trained, or log its graph with mlflow.onnx.log_model"
        )
    return load(file, trusted=list(SKOPS_TYPES))


def _program(file: Path, *, trusted: bool) -> Any:
    if not trusted:
        raise PublishError(
            "flavor 'pytorch' holds an exported torch program, and torch unpickles parts of it when it opens one, "
            "which can run any code: if you trust whoever logged it, say --trust-file (for the API: "
            "HOTSWAP_MLFLOW_TRUST_PROGRAMS=true); or log its graph with mlflow.onnx.log_model"
        )
    from hotswap_stream.client.publishing.converters.from_torch import open_program

    return open_program(file)
