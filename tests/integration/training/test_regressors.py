"""A regression of scikit-learn from the command line on the real broker: its own set, its own gates."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import root_mean_squared_error

from tests.support.stages.command_line import Cli, read_json

POLICY = """
[[gates]]
figure = "rmse"
better = "lower"
threshold = 80.0
relative_margin = 0.05

[[gates]]
figure = "r2"
threshold = 0.2
"""

SPLIT = 300


@pytest.fixture(scope="module")
def data() -> Any:
    return load_diabetes(return_X_y=True)


def fitted(folder: Path, name: str, data: Any, *, depth: int, shuffled: bool = False) -> tuple[Path, float]:
    """The file of a forest, and its error on the held-out rows by scikit-learn itself."""
    features, target = data
    labels = np.random.default_rng(0).permutation(target[:SPLIT]) if shuffled else target[:SPLIT]
    forest = RandomForestRegressor(n_estimators=30, max_depth=depth, random_state=0).fit(features[:SPLIT], labels)
    file = folder / f"{name}.onnx"
    file.write_bytes(to_onnx(forest, features[:1].astype(np.float32)).SerializeToString())
    return file, float(root_mean_squared_error(target[SPLIT:], forest.predict(features[SPLIT:])))


def test_the_gate_refuses_the_worse_and_lets_the_better_pass(cli: Cli, tmp_path: Path, data: Any) -> None:
    features, target = data
    first, first_rmse = fitted(tmp_path, "first", data, depth=1)
    worse, worse_rmse = fitted(tmp_path, "worse", data, depth=8, shuffled=True)
    better, better_rmse = fitted(tmp_path, "better", data, depth=3)
    assert better_rmse < first_rmse < worse_rmse
    np.savez(tmp_path / "held-out.npz", X=features[SPLIT:], target=target[SPLIT:])

    cli("register", "diabetes", str(first))
    assert "validation-set choose" in cli("evaluate", "diabetes", "v1", code=1).stderr
    assert "none was chosen" in cli("validation-set", "show", "diabetes").output
    chosen = read_json(cli("validation-set", "choose", "diabetes", str(tmp_path / "held-out.npz"), "--json"))
    assert chosen["event_types"] == ["hotswap.model.validation-set-chosen.v1"]
    shown = read_json(cli("validation-set", "show", "diabetes", "--json"))["validation_set"]
    assert (shown["kind"], shown["rows"], shown["source"]) == ("regression", len(target) - SPLIT, "held-out.npz")

    # Nobody said yet what is good: a person would have to decide.
    told = cli("evaluate", "diabetes", "v1").output
    assert "inconclusive" in told
    assert "validation-policy set" in " ".join(told.split())
    (tmp_path / "policy.toml").write_text(POLICY)
    cli("validation-policy", "set", "diabetes", str(tmp_path / "policy.toml"))
    assert "relative margin" in cli("validation-policy", "show", "diabetes").output
    cli("evaluate", "diabetes", "v1")
    cli("promote", "diabetes", "v1")

    cli("register", "diabetes", str(worse))
    assert "rmse is" in " ".join(cli("evaluate", "diabetes", "v2").output.split())
    cli("register", "diabetes", str(better))
    cli("evaluate", "diabetes", "v3")
    assert cli("promote", "diabetes", "v2", code=3).stderr.startswith("refused")
    cli("promote", "diabetes", "v3")

    versions = {found["model_version"]: found for found in read_json(cli("versions", "diabetes", "--json"))}
    verdicts = {name: found["verdict"] for name, found in versions.items()}
    assert verdicts == {"v1": "passed", "v2": "failed", "v3": "passed"}
    assert versions["v3"]["stage"] == "production"
    for name, rmse in (("v1", first_rmse), ("v2", worse_rmse), ("v3", better_rmse)):
        validation = versions[name]["validation"]
        assert validation["figures"]["rmse"] == pytest.approx(rmse, rel=1e-4)
        assert validation["validation_set"] == shown["artifact_digest"]
    assert versions["v3"]["validation"]["baseline_figures"]["rmse"] == pytest.approx(first_rmse, rel=1e-4)
    assert versions["v3"]["validation"]["figures"]["difference_mae"] > 0

    # Figures that were measured elsewhere are judged alike.
    cli("register", "diabetes", str(first), "--version", "elsewhere")
    handed_in = ("--figure", "rmse=70", "--figure", "r2=0.3")
    assert "need 'rmse'" in cli("validate", "diabetes", "elsewhere", *handed_in, code=3).stderr
    beside = ("--baseline-figure", "rmse=69", "--baseline-figure", "r2=0.3")
    cli("validate", "diabetes", "elsewhere", *handed_in, *beside)
    cli("promote", "diabetes", "elsewhere")

    # A set is no version, and the same whether it is packed by itself or when it is chosen.
    packed = tmp_path / "packed.safetensors"
    assert (
        shown["artifact_digest"]
        in cli("validation-set", "pack", str(tmp_path / "held-out.npz"), "-o", str(packed)).output
    )
    assert "is a validation set" in cli("register", "diabetes", str(packed), code=1).stderr
    again = read_json(cli("validation-set", "choose", "diabetes", "--digest", shown["artifact_digest"], "--json"))
    assert again["event_types"] == ["hotswap.model.validation-set-chosen.v1"]

    # Another set from here on; the verdicts that were drawn keep theirs.
    np.savez(tmp_path / "fewer.npz", X=features[400:], target=target[400:])
    cli("validation-set", "choose", "diabetes", str(tmp_path / "fewer.npz"))
    again = {found["model_version"]: found for found in read_json(cli("versions", "diabetes", "--json"))}
    assert again["v3"]["validation"] == versions["v3"]["validation"]
    assert "chose the validation set of diabetes" in cli("events", "--last", "1").stdout
