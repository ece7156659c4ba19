"""An MLflow tracking server, asked by its REST API. What it says comes from outside, as all else does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from hotswap_stream.application.mlflow.source import SourceRefusedError, SourceUnavailableError
from hotswap_stream.errors import ConfigurationError

ANSWER_BYTES_MAX = 4 * 1024**2
CALL_SECONDS_MAX = 30.0
VERSIONS_MAX = 1_000
_PAGE = 200

_Answer = TypeVar("_Answer")


class ServedFile(Struct, frozen=True, kw_only=True):
    """An entry of a folder of artifacts."""

    path: str
    is_dir: bool = False
    file_size: int | str | None = None
    """64-bit numbers are texts in JSON as protobuf writes it."""


class ServedVersion(Struct, frozen=True, kw_only=True):
    """A version in the server's registry."""

    name: str
    version: str
    source: str = ""
    run_id: str | None = None
    description: str | None = None
    tags: tuple[dict[str, str], ...] = ()

    def labels(self) -> dict[str, str]:
        """Return its tags by their names."""
        return {tag["key"]: tag["value"] for tag in self.tags if "key" in tag and "value" in tag}


class _Files(Struct):
    files: list[ServedFile] = []


class _Version(Struct):
    model_version: ServedVersion


class _Versions(Struct):
    model_versions: list[ServedVersion] = []
    next_page_token: str | None = None


class _LoggedInfo(Struct):
    artifact_uri: str
    name: str = ""


class _Logged(Struct):
    info: _LoggedInfo


class _LoggedModel(Struct):
    model: _Logged


class _RunInfo(Struct):
    artifact_uri: str


class _ModelOutput(Struct):
    model_id: str


class _RunOutputs(Struct):
    model_outputs: list[_ModelOutput] = []


class _Run(Struct):
    info: _RunInfo
    outputs: _RunOutputs = msgspec.field(default_factory=_RunOutputs)


class _RunAnswer(Struct):
    run: _Run


class _Download(Struct):
    artifact_uri: str


class _Refusal(Struct):
    error_code: str = ""
    message: str = ""


class TrackingServer:
    """Asks one server, and no other: it follows no redirects. Use it with `async with`."""

    def __init__(self, uri: str, token: str | None) -> None:
        """Take a server.

        Args:
            uri: Its URL; may hold a user and a password.
            token: Sent as a bearer token.

        Raises:
            ConfigurationError: It is no URL of HTTP.
        """
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(
                "the URI of the MLflow tracking server is not one of HTTP, such as https://mlflow.example:5000"
            )
        self.host = parts.hostname if port is None else f"{parts.hostname}:{port}"
        self._client = httpx.AsyncClient(
            base_url=uri.rstrip("/"),
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=CALL_SECONDS_MAX,
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def words(self) -> str:
        """What it is called in messages."""
        return f"the MLflow server {self.host}"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def artifact_uri_of_run(self, run_id: str) -> tuple[str, tuple[str, ...]]:
        """Return where a run keeps its artifacts, and the ids of the models that it logged."""
        run = (await self._ask("runs/get", _RunAnswer, {"run_id": run_id})).run
        return run.info.artifact_uri, tuple(output.model_id for output in run.outputs.model_outputs)

    async def logged_model(self, model_id: str) -> tuple[str, str]:
        """Return a logged model's name, and where it lies."""
        info = (await self._ask(f"logged-models/{quote(model_id, safe='')}", _LoggedModel)).model.info
        return info.name, info.artifact_uri

    async def download_uri(self, name: str, model_version: str) -> str:
        """Return where a registered version lies."""
        asked = {"name": name, "version": model_version}
        return (await self._ask("model-versions/get-download-uri", _Download, asked)).artifact_uri

    async def version(self, name: str, model_version: str) -> ServedVersion:
        """Return a registered version."""
        return (await self._ask("model-versions/get", _Version, {"name": name, "version": model_version})).model_version

    async def version_by_alias(self, name: str, alias: str) -> ServedVersion:
        """Return the version that an alias stands for."""
        return (await self._ask("registered-models/alias", _Version, {"name": name, "alias": alias})).model_version

    async def versions(self, name: str) -> tuple[ServedVersion, ...]:
        """Return all versions of a registered model, the first one first."""
        if "'" in name:
            raise SourceRefusedError(f"a registered model's name holds no quotes: {name[:200]!r}")
        found: list[ServedVersion] = []
        token: str | None = None
        while True:
            asked = {"filter": f"name='{name}'", "max_results": str(_PAGE)}
            page = await self._ask(
                "model-versions/search", _Versions, asked if token is None else asked | {"page_token": token}
            )
            found += page.model_versions
            token = page.next_page_token
            if len(found) > VERSIONS_MAX:
                raise SourceRefusedError(f"{name[:200]!r} has more than {VERSIONS_MAX} versions: import single ones")
            if not token or not page.model_versions:
                return tuple(sorted(found, key=lambda each: (len(each.version), each.version)))

    async def list_served(self, path: str) -> list[ServedFile]:
        """Return the entries of a folder of artifacts."""
        return (await self._get("/api/2.0/mlflow-artifacts/artifacts", _Files, {"path": path})).files

    async def read_served(self, path: str) -> AsyncIterator[bytes]:
        """Return the bytes of an artifact, piece by piece."""
        async with self._sent(f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}", {}) as response:
            async for piece in response.aiter_raw():
                yield piece

    async def _ask(self, what: str, kind: type[_Answer], asked: Mapping[str, str] | None = None) -> _Answer:
        return await self._get(f"/api/2.0/mlflow/{what}", kind, asked or {})

    async def _get(self, path: str, kind: type[_Answer], asked: Mapping[str, str]) -> _Answer:
        content = b""
        async with self._sent(path, asked) as response:
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > ANSWER_BYTES_MAX:
                    raise SourceRefusedError(f"{self.words} answers with more than {ANSWER_BYTES_MAX} bytes")
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise SourceRefusedError(f"{self.words} answers what none of MLflow's does: {error}") from error

    @asynccontextmanager
    async def _sent(self, path: str, asked: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        # Compressed, a few bytes could become many; so no server is asked for that.
        headers = {"Accept-Encoding": "identity"}
        try:
            async with self._client.stream("GET", path, params=dict(asked) or None, headers=headers) as response:
                await self._check(response)
                yield response
        except httpx.TransportError as error:
            cause = str(error) or type(error).__name__
            raise SourceUnavailableError(f"{self.words} did not answer: {cause}") from error

    async def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200 and response.headers.get("content-encoding", "identity") == "identity":
            return
        if 300 <= status < 400:
            raise SourceRefusedError(f"{self.words} sends to another place ({status}), and only it is asked")
        if status == 429 or status >= 500:
            raise SourceUnavailableError(f"{self.words} answered {status}")
        raise SourceRefusedError(f"{self.words} refuses with {status}{await _said(response)}")


async def _said(response: httpx.Response) -> str:
    content = b""
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > 65_536:
            return ""
    try:
        refusal = msgspec.json.decode(content, type=_Refusal)
    except msgspec.DecodeError:
        return ""
    return f": {refusal.error_code} {refusal.message[:300]}"
