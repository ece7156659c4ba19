"""What a source brings goes into the version, and a client that did not wait gets the version it asked for, once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowException

from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.application.mlflow.source import ImportedModel, SourceRefusedError, SourceUnavailableError
from tests.support.stages.mlflow import KEYS, NAME, NO_TRACKING, MlflowStage, open_mlflow_stage

CREATE = "/api/2.0/mlflow/model-versions/create"
ADA = {"Authorization": f"Bearer {KEYS['ada']}"}
REGISTER = """
import mlflow
version = mlflow.register_model("file:/models/flowers", "flowers", tags={"a": "1"})
print(version.version)
"""


class Elsewhere:
    """Brings artifacts of the store, or errors, when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.asked: list[str] = []
        self.brings: ImportedModel | Exception = SourceRefusedError("nothing is there")

    async def imported(self, source: str) -> ImportedModel:
        self.asked.append(source)
        await self.may.wait()
        if isinstance(self.brings, Exception):
            raise self.brings
        return self.brings


async def wait_until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
async def stage(elsewhere: Elsewhere, tmp_path: Path) -> AsyncIterator[MlflowStage]:
    async with open_mlflow_stage(tmp_path, mlflow_source=elsewhere) as stage:
        await stage.ask(lambda client: client.create_registered_model(NAME))
        digest = await stage.http.stored_artifact()
        elsewhere.brings = ImportedModel(
            artifact_digest=digest,
            flavor="sklearn",
            environment={"scikit-learn": "1.9"},
            facts={"rows": "7"},
            metrics={"f1": 0.5},
            warnings=("one output is wider than it says",),
        )
        yield stage


async def test_what_the_source_says_is_part_of_the_version(stage: MlflowStage, elsewhere: Elsewhere) -> None:
    made = await stage.ask(
        lambda client: client.create_model_version(NAME, "file:/models/flowers", "run-1", model_id="m-1")
    )
    assert made.status_message == "one output is wider than it says"
    version = stage.http.registry.state(NAME).versions["v1"]
    assert (version.metrics, version.run_id) == ({"f1": 0.5}, "run-1")
    assert version.provenance.environment == {
        "mlflow.source": "file:/models/flowers",
        "mlflow.flavor": "sklearn",
        "mlflow.model_id": "m-1",
        "mlflow.warnings": "one output is wider than it says",
        "scikit-learn": "1.9",
        "mlflow.rows": "7",
    }
    assert elsewhere.asked == ["file:/models/flowers"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (SourceRefusedError("flavor 'spark' is not taken"), 400, "INVALID_PARAMETER_VALUE"),
        (TrialFailedError("flavor 'spark' is not taken"), 400, "INVALID_PARAMETER_VALUE"),
        (SourceUnavailableError("flavor 'spark' is not taken"), 503, "TEMPORARILY_UNAVAILABLE"),
    ],
)
async def test_why_a_source_cannot_be_taken_is_told(
    stage: MlflowStage, elsewhere: Elsewhere, error: Exception, status: int, code: str
) -> None:
    elsewhere.brings = error
    answer = await stage.http.client.post(CREATE, json={"name": NAME, "source": "s3://b/m"}, headers=ADA)
    assert (answer.status_code, answer.json()) == (
        status,
        {"error_code": code, "message": "flavor 'spark' is not taken"},
    )
    assert not stage.http.registry.state(NAME).versions


async def test_who_did_not_wait_gets_the_same_version(stage: MlflowStage, elsewhere: Elsewhere) -> None:
    elsewhere.may.clear()
    body = {"name": NAME, "source": "file:/models/flowers", "run_id": "run-1"}
    async with httpx.AsyncClient(base_url=stage.http.url) as impatient:
        asking = asyncio.create_task(impatient.post(CREATE, json=body, headers=ADA))
        await wait_until(lambda: bool(elsewhere.asked))
        asking.cancel()
        await asyncio.wait({asking})
    again = asyncio.create_task(stage.http.client.post(CREATE, json=body, headers=ADA))
    other = {**body, "run_id": "run-2"}
    of_another = asyncio.create_task(stage.http.client.post(CREATE, json=other, headers=ADA))
    await wait_until(lambda: len(elsewhere.asked) == 2)
    elsewhere.may.set()
    made = [(await each).json()["model_version"] for each in (again, of_another)]
    assert {version["run_id"] for version in made} == {"run-1", "run-2"}
    assert sorted(version["version"] for version in made) == ["1", "2"]
    assert len(elsewhere.asked) == 2


async def test_tags_that_cannot_be_kept_are_refused_before_anything_is_fetched(
    stage: MlflowStage, elsewhere: Elsewhere
) -> None:
    with pytest.raises(MlflowException, match="at most 1024 are allowed"):
        await stage.ask(lambda client: client.create_model_version(NAME, "file:/m", tags={"a": "x" * 1_025}))
    assert not elsewhere.asked


@pytest.mark.slow
async def test_a_process_that_has_the_address_and_the_key_registers_a_model(
    stage: MlflowStage, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """`mlflow.register_model`, with two variables and nothing else."""
    environment = {
        "MLFLOW_REGISTRY_URI": stage.http.url,
        "MLFLOW_TRACKING_TOKEN": KEYS["bob"],
        "MLFLOW_TRACKING_URI": NO_TRACKING,
        "HOME": str(tmp_path),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", REGISTER],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    version = stage.http.registry.state(NAME).versions["v1"]
    assert (version.provenance.created_by, version.tags) == ("bob", {"a": "1"})
    assert json.dumps(elsewhere.asked) == '["file:/models/flowers"]'
