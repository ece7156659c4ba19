"""The API as it is started, on a real Kafka: a directory of MLflow's is put into production by its client alone."""

from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
from mlflow import MlflowException

from hotswap_stream import bootstrap
from hotswap_stream.settings import Settings
from tests.support.samples.graphs import linear
from tests.support.stages.asking import running_api
from tests.support.stages.http import PASSED
from tests.support.stages.mlflow import KEYS, NAME, asked

MLMODEL = """
flavors:
  onnx: {data: model.onnx, onnx_version: 1.19.0}
mlflow_version: 3.17.2
run_id: 0123456789abcdef0123456789abcdef
"""


def directory(folder: Path, scale: float) -> Path:
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "model.onnx").write_bytes(linear(scale))
    return folder


async def test_a_directory_becomes_what_is_in_production(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first, second = directory(models / "first", 1.0), directory(models / "second", 2.0)
    settings = Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=topic_prefix,
        home=tmp_path / "home",
        cache=tmp_path / "cache",
        api_port=0,
        api_keys=",".join(f"{name}:{key}" for name, key in KEYS.items()),
        mlflow_production_alias="live",
        mlflow_file_roots=str(models),
    )
    async with running_api(settings) as url:

        async def registered(folder: Path) -> Any:
            return await asked(url, lambda client: client.create_model_version(NAME, folder.as_uri(), "run-1"))

        await asked(url, lambda client: client.create_registered_model(NAME, description="What grows here."))
        with pytest.raises(MlflowException, match="INVALID_PARAMETER_VALUE"):
            await registered(tmp_path / "home")
        made = await registered(first)
        assert (made.version, made.source, made.run_id, made.user_id) == ("1", first.as_uri(), "run-1", "ada")
        with pytest.raises(MlflowException, match="INVALID_STATE: 'v1' of 'flowers' has not been validated"):
            await asked(url, lambda client: client.set_registered_model_alias(NAME, "live", "1"))
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            bob = {"Authorization": f"Bearer {KEYS['bob']}"}
            answer = await http.post(f"/api/models/{NAME}/versions/v1/validate", json=PASSED, headers=bob)
            assert answer.status_code == 200, answer.text
        await asked(url, lambda client: client.set_registered_model_alias(NAME, "live", "1"))
        await asked(url, lambda client: client.set_registered_model_alias(NAME, "next", "1"))
        assert (await registered(second)).version == "2"
        model = await asked(url, lambda client: client.get_registered_model(NAME))
        assert model.aliases == {"live": "1", "next": "1"}

        def download(_: object) -> str:
            return str(mlflow.artifacts.download_artifacts(f"models:/{NAME}@live", dst_path=str(tmp_path / "out")))

        assert (Path(await asked(url, download)) / "MLmodel").is_file()
    async with bootstrap.open_registry(settings, "test") as registry:
        state = registry.state(NAME)
        assert (state.active_version, list(state.versions)) == ("v1", ["v1", "v2"])
        version = state.versions["v1"]
        assert version.trial is not None
        assert version.artifact.signature is not None
        told = version.provenance
        assert (told.created_by, told.environment["mlflow.flavor"]) == ("ada", "onnx")
        assert told.environment["mlflow.source"] == first.as_uri()
