"""Where the trees of a booster decide, so that made-up rows go both ways at each of them."""

from typing import Any

import msgspec

POINTS_MAX = 512
"""Points of one feature."""
_TREES_MAX = 200


def split_points(model: Any) -> list[list[float]] | None:
    """Return the thresholds for each feature of a model of XGBoost or LightGBM; None of another."""
    booster = model
    if hasattr(model, "get_booster"):
        booster = model.get_booster()
    elif hasattr(model, "booster_"):
        booster = model.booster_
    package = type(booster).__module__.partition(".")[0]
    if package == "xgboost":
        return _of_xgboost(booster)
    if package == "lightgbm":
        return _of_lightgbm(booster)
    return None


def _of_xgboost(booster: Any) -> list[list[float]]:
    points: list[list[float]] = [[] for _ in range(booster.num_features())]
    names = {name: index for index, name in enumerate(booster.feature_names or ())}
    for text in booster.get_dump(dump_format="json")[:_TREES_MAX]:
        for node in _nodes(msgspec.json.decode(text), ("children",)):
            name, point = node.get("split"), node.get("split_condition")
            if name is None or not isinstance(point, int | float):
                continue
            index = names.get(name, int(name[1:]) if name[1:].isdecimal() else -1)
            _keep(points, index, float(point))
    return points


def _of_lightgbm(booster: Any) -> list[list[float]]:
    points: list[list[float]] = [[] for _ in range(booster.num_feature())]
    for tree in booster.dump_model(num_iteration=_TREES_MAX)["tree_info"]:
        for node in _nodes(tree["tree_structure"], ("left_child", "right_child")):
            if isinstance(node.get("threshold"), int | float):
                _keep(points, node["split_feature"], float(node["threshold"]))
    return points


def _nodes(root: Any, children: tuple[str, ...]) -> list[dict[str, Any]]:
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        for name in children:
            below = node.get(name, ())
            waiting.extend(below if isinstance(below, list | tuple) else [below])
    return found


def _keep(points: list[list[float]], index: int, point: float) -> None:
    if 0 <= index < len(points) and len(points[index]) < POINTS_MAX:
        points[index].append(point)
