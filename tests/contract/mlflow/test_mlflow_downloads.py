"""Versions come out again as directories that MLflow's client downloads, and nothing beside them does."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowException

from hotswap_events.registry.state import RegistryVersion
from hotswap_stream.application.mlflow.export import NotExportableError
from hotswap_stream.application.mlflow.exports import FOLDERS_MAX, Exports
from tests.support.stages.mlflow import KEYS, NAME, MlflowStage, open_mlflow_stage

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
LARGE = os.urandom(700_000)
ADA = {"Authorization": f"Bearer {KEYS['ada']}"}


class Written:
    """Writes directories as an export does; those of the version named `bad` cannot be made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def export(self, model_name: str, version: RegistryVersion, folder: Path) -> None:
        self.made.append(version.model_version)
        (folder / "MLmodel").write_text(f"model: {model_name} {version.model_version}\n")
        (folder / "data" / "deep").mkdir(parents=True)
        (folder / "data" / "model.onnx").write_bytes(LARGE)
        (folder / "data" / "deep" / "empty").write_bytes(b"")
        if version.tags.get("bad") == "link":
            (folder / "data" / "outside").symlink_to("/etc/hostname")
        elif "bad" in version.tags:
            raise NotExportableError(f"{version.model_version} cannot be handed out")


class Downloads(MlflowStage):
    """With the folder in which directories are kept."""

    written: Written
    folder: Path

    async def get(self, path: str) -> tuple[int, bytes]:
        answer = await self.http.client.get(f"{ARTIFACTS}/{path}", headers=ADA)
        return answer.status_code, answer.content

    async def listed(self, path: str) -> list[tuple[str, bool]]:
        answer = await self.http.client.get(ARTIFACTS, params={"path": path}, headers=ADA)
        assert answer.status_code == 200, answer.text
        return [(file["path"], file.get("is_dir", False)) for file in answer.json()["files"]]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Downloads]:
    written, folder = Written(), tmp_path / "exports"
    folder.mkdir()
    async with open_mlflow_stage(tmp_path, mlflow_exports=Exports(written, folder)) as opened:
        stage = Downloads(opened.http)
        stage.written, stage.folder = written, folder
        await stage.ask(lambda client: client.create_registered_model(NAME))
        yield stage


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_what_an_alias_points_at_is_downloaded(stage: Downloads, tmp_path: Path) -> None:
    number = await stage.passed()
    await stage.ask(lambda client: client.set_registered_model_alias(NAME, "champion", number))
    uri = await stage.ask(lambda client: client.get_model_version_download_uri(NAME, number))
    assert uri == f"{stage.http.url}{ARTIFACTS}/{NAME}/1"
    for name, asked in (("alias", f"models:/{NAME}@champion"), ("number", f"models:/{NAME}/{number}")):
        into = tmp_path / name

        def download(_: object, asked: str = asked, into: Path = into) -> str:
            return str(mlflow.artifacts.download_artifacts(asked, dst_path=str(into)))

        found = contents(Path(await stage.ask(download)))
        assert found.pop("registered_model_meta")
        assert found == {"MLmodel": b"model: flowers v1\n", "data/model.onnx": LARGE, "data/deep/empty": b""}
    assert stage.written.made == ["v1"]


async def test_nothing_beside_a_version_can_be_read(stage: Downloads) -> None:
    await stage.version()
    (stage.folder / "secret").write_text("not of a version")
    assert await stage.listed(f"{NAME}/1") == [("MLmodel", False), ("data", True)]
    assert await stage.listed(f"{NAME}/1/data/") == [("deep", True), ("model.onnx", False)]
    assert await stage.listed(f"{NAME}/1/data/..") == []
    for path in (
        f"{NAME}/1/../../secret",
        f"{NAME}/1/..%2f..%2fsecret",
        f"{NAME}/1/%2e%2e/%2e%2e/secret",
        f"{NAME}/1//etc/hostname",
        f"{NAME}/1/data",
        f"{NAME}/1",
        f"{NAME}/../secret",
        "secret",
        "..",
    ):
        status, content = await stage.get(path)
        assert status == 404, path
        assert b"not of a version" not in content
    assert await stage.get(f"{NAME}/v1/data/model.onnx") == (200, LARGE)
    written = await stage.http.client.put(f"{ARTIFACTS}/{NAME}/1/MLmodel", content=b"x", headers=ADA)
    assert (written.status_code, written.json()["error_code"]) == (405, "ENDPOINT_NOT_FOUND")


async def test_what_cannot_be_made_is_said_and_leaves_nothing(stage: Downloads) -> None:
    for tags, words in (({"bad": "yes"}, "v1 cannot be handed out"), ({"bad": "link"}, "'outside' is no file")):
        number = await stage.version(tags=tags)
        answer = await stage.http.client.get(ARTIFACTS, params={"path": f"{NAME}/{number}"}, headers=ADA)
        assert (answer.status_code, answer.json()["error_code"]) == (409, "INVALID_STATE")
        assert words in answer.json()["message"]
        assert not contents(stage.folder)


async def test_directories_make_room_for_others(stage: Downloads) -> None:
    for _ in range(FOLDERS_MAX + 1):
        number = await stage.version()
        assert (await stage.get(f"{NAME}/{number}/MLmodel"))[0] == 200
    assert len(list(stage.folder.iterdir())) == FOLDERS_MAX
    assert (await stage.get(f"{NAME}/1/MLmodel"))[0] == 200
    assert stage.written.made == ["v1", "v2", "v3", "v4", "v5", "v1"]


async def test_a_server_without_exports_says_so(tmp_path: Path) -> None:
    async with open_mlflow_stage(tmp_path, mlflow_url="https://models.example/hotswap/") as stage:
        await stage.ask(lambda client: client.create_registered_model(NAME))
        await stage.version()
        answer = await stage.http.client.get(f"{ARTIFACTS}/{NAME}/1/MLmodel", headers=ADA)
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        uri = await stage.ask(lambda client: client.get_model_version_download_uri(NAME, "1"))
        assert uri == f"https://models.example/hotswap{ARTIFACTS}/{NAME}/1"
        with pytest.raises(MlflowException, match="RESOURCE_DOES_NOT_EXIST"):
            await stage.ask(lambda client: client.get_model_version_download_uri(NAME, "2"))
