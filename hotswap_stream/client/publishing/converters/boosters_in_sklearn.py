"""XGBoost's and LightGBM's estimators as steps of a scikit-learn pipeline: skl2onnx asks onnxmltools for them."""

from typing import Any

_CLASSES = {
    "xgboost": ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"),
    "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
}


def register_boosters(model: Any) -> None:
    """Let skl2onnx convert what of these a model has among its steps."""
    if not hasattr(model, "get_params"):
        return
    steps = [model, *model.get_params(deep=True).values()]
    found = {type(step).__module__.partition(".")[0] for step in steps}
    for package in found & _CLASSES.keys():
        _register(package)


def with_rounded_thresholds(model: Any) -> Any:
    """Return a pipeline with LightGBM's estimator at its end as what is to be converted; any other model as it is."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline) or not type(model.steps[-1][1]).__module__.startswith("lightgbm"):
        return model
    from hotswap_stream.client.publishing.converters.from_lightgbm import rounded

    name, last = model.steps[-1]
    return Pipeline([*model.steps[:-1], (name, rounded(last, last.booster_))])


def _register(package: str) -> None:
    from importlib import import_module

    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    if package == "xgboost":
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as converter
    else:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as converter
    module = import_module(package)  # the model's own package, so it is imported already
    for name in _CLASSES[package]:
        kind = getattr(module, name)
        if kind in sklearn_operator_name_map:
            continue  # from an earlier call, or the caller registered one of his own
        classifies = name.endswith("Classifier")
        update_registered_converter(
            kind,
            f"Hotswap{name}",
            calculate_linear_classifier_output_shapes if classifies else calculate_linear_regressor_output_shapes,
            converter,
            options={"nocl": [True, False], "zipmap": [True, False, "columns"]} if classifies else {},
        )
