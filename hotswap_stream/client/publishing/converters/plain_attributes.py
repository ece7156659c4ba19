"""What skl2onnx hands to onnx, in Python's own numbers: else gradient boosting on histograms is not converted."""

from functools import cache
from typing import Any

import numpy as np


@cache
def let_attributes_be_plain() -> None:
    """Let the converter of histogram-based gradient boosting write plain numbers. Once per process."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    for kind, options in (
        (
            HistGradientBoostingClassifier,
            {"zipmap": [True, False, "columns"], "raw_scores": [True, False], "nocl": [True, False]},
        ),
        (HistGradientBoostingRegressor, {}),
    ):
        alias = f"Sklearn{kind.__name__}"
        inner = get_converter(alias)
        update_registered_converter(
            kind, alias, get_shape_calculator(alias), _plain(inner), overwrite=True, options=options
        )


def _plain(inner: Any) -> Any:
    def converter(scope: Any, operator: Any, container: Any) -> None:
        inner(scope, operator, _PlainContainer(container))

    return converter


class _PlainContainer:
    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        """Add a node, whose numbers are Python's own."""
        self._container.add_node(*args, **{name: _python(value) for name, value in attributes.items()})


def _python(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bool):
        return int(value)
    return [_python(each) for each in value] if isinstance(value, list) else value
