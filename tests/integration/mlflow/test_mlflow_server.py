"""From a real MLflow server to versions here: by the command line, one and all."""

from pathlib import Path

import httpx
import pytest

from tests.support.stages.command_line import Cli, read_json
from tests.support.stages.mlflow_server import running_mlflow_server


@pytest.mark.timeout(900)  # the server writes its tables, one migration after the other
def test_versions_of_a_real_server_are_imported_once_and_come_out_again(cli: Cli, tmp_path: Path) -> None:
    with running_mlflow_server(tmp_path / "server") as url:
        outcomes = read_json(cli("mlflow", "import-all", "cats", "--tracking-uri", url, "--json", code=1))
        assert [(each["mlflow_version"], each["model_version"]) for each in outcomes] == [("1", "v1"), ("2", None)]
        assert "never opened" in outcomes[1]["refused"]
        (version,) = read_json(cli("versions", "cats", "--json"))
        assert version["tags"].items() >= {"framework": "scikit-learn", "team": "a"}.items()
        assert version["provenance"]["environment"]["mlflow.source"] == "models:/cats/1"
        assert version["metrics"]["conversion.label_agreement"] == 1.0

        again = cli("mlflow", "import-all", "cats", "--tracking-uri", url, code=1).output
        assert "never opened" in again
        assert len(read_json(cli("versions", "cats", "--json"))) == 1

        cli("mlflow", "import", "dogs", "models:/cats@champion", "--tracking-uri", url)
        (dog,) = read_json(cli("versions", "dogs", "--json"))
        assert dog["artifact"]["digest"] == version["artifact"]["digest"]
        assert "not found" in cli("mlflow", "import", "dogs", "models:/cats/9", "--tracking-uri", url, code=1).output

        _a_run_is_told_once(cli, url)

    cli("export", "cats", "v1", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"MLmodel", "model.onnx", "requirements.txt"}
    assert "unknown-version" in cli("export", "cats", "v9", str(tmp_path / "none"), code=3).output
    assert not (tmp_path / "none").exists()
    cli("mlflow", "import", "cats", str(tmp_path / "out"))
    assert [each["artifact"]["digest"] for each in read_json(cli("versions", "cats", "--json"))] == [
        version["artifact"]["digest"]
    ] * 2


def _a_run_is_told_once(cli: Cli, url: str) -> None:
    cli("runs", "request", "cats", "--trainer", "als", "--run", "run-1", "--set", "factors=8")
    assert "has ended" in cli("mlflow", "export-run", "cats", "run-1", "--tracking-uri", url, code=3).output
    cli("runs", "cancel", "cats", "run-1", "--reason", "enough")
    told = [read_json(cli("mlflow", "export-run", "cats", "run-1", "--tracking-uri", url, "--json")) for _ in range(2)]
    assert [each["was_there"] for each in told] == [False, True]
    assert told[0]["mlflow_run_id"] == told[1]["mlflow_run_id"]
    answer = httpx.get(f"{url}/api/2.0/mlflow/runs/get", params={"run_id": told[0]["mlflow_run_id"]}, timeout=60)
    run = answer.json()["run"]
    assert (run["info"]["status"], run["info"]["run_name"]) == ("KILLED", "cats/run-1")
    assert {"key": "factors", "value": "8"} in run["data"]["params"]
    assert {each["key"]: each["value"] for each in run["data"]["tags"]}["hotswap.detail"] == "enough"
