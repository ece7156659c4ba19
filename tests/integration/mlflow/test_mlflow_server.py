"""From a real MLflow server to versions here: by the command line, one and all."""

from pathlib import Path

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

    cli("export", "cats", "v1", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"MLmodel", "model.onnx", "requirements.txt"}
    assert "unknown-version" in cli("export", "cats", "v9", str(tmp_path / "none"), code=3).output
    assert not (tmp_path / "none").exists()
    cli("mlflow", "import", "cats", str(tmp_path / "out"))
    assert [each["artifact"]["digest"] for each in read_json(cli("versions", "cats", "--json"))] == [
        version["artifact"]["digest"]
    ] * 2
