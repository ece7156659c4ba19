"""The few calls of Kubernetes' API that a runner of Jobs needs, with the token and authority of its service account."""

import asyncio
import ssl
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
from msgspec import Struct

from hotswap_stream.errors import HotswapError

ANSWER_BYTES_MAX = 4 * 1024**2
SECONDS_MAX = 15.0
LOG_BYTES_MAX = 64 * 1024
TOKEN_BYTES_MAX = 16 * 1024
DETAIL_CHARACTERS_MAX = 500


class KubernetesError(HotswapError):
    """The cluster's API did not do it. `status` is that of its answer, None where there was none."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class ClusterAccess(Struct, frozen=True, kw_only=True):
    """Where the API is, and who asks."""

    url: str
    account: Path
    """Folder with `token`, `ca.crt` and `namespace`, as it is mounted into pods."""


class KubernetesApi:
    """A client for one namespace. Use it with `async with`."""

    def __init__(self, access: ClusterAccess, namespace: str) -> None:
        self._access = access
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._client = httpx.AsyncClient(
            base_url=access.url, verify=_trusted(access), timeout=SECONDS_MAX, follow_redirects=False, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._client.aclose()

    async def create_job(self, job: dict[str, Any]) -> None:
        """Create a Job; one of this name that is there already is taken for it. KubernetesError."""
        try:
            await self._call("POST", self._jobs, body=msgspec.json.encode(job))
        except KubernetesError as error:
            if error.status != 409:
                raise

    async def job(self, name: str) -> dict[str, Any] | None:
        """Return a Job, None where there is none. KubernetesError."""
        try:
            return _object(await self._call("GET", f"{self._jobs}/{name}"))
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    async def delete_job(self, name: str) -> None:
        """Delete a Job with its pods, if it is there. KubernetesError."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            await self._call("DELETE", f"{self._jobs}/{name}", body=msgspec.json.encode(options))
        except KubernetesError as error:
            if error.status != 404:
                raise

    async def pods_of(self, job_name: str) -> list[dict[str, Any]]:
        """Return the pods of a Job. KubernetesError."""
        found = _object(await self._call("GET", self._pods, query={"labelSelector": f"job-name={job_name}"}))
        items = found.get("items")
        return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []

    async def log_of(self, pod: str, container: str) -> str:
        """Return the end of a container's log. KubernetesError."""
        query = {"container": container, "tailLines": "200", "limitBytes": str(LOG_BYTES_MAX)}
        return (await self._call("GET", f"{self._pods}/{pod}/log", query=query)).decode(errors="replace")

    async def _call(
        self, method: str, path: str, *, body: bytes | None = None, query: dict[str, str] | None = None
    ) -> bytes:
        headers = {"authorization": f"Bearer {await asyncio.to_thread(self._token)}", "accept": "*/*"}
        headers |= {} if body is None else {"content-type": "application/json"}
        try:
            async with (
                asyncio.timeout(SECONDS_MAX),
                self._client.stream(method, path, params=query, content=body, headers=headers) as response,
            ):
                answer = bytearray()
                async for piece in response.aiter_bytes():
                    answer += piece
                    if len(answer) > ANSWER_BYTES_MAX:
                        raise KubernetesError(f"{method} {path}: an answer of more than {ANSWER_BYTES_MAX} bytes")
        except (TimeoutError, httpx.HTTPError, httpx.StreamError, OSError, ValueError) as error:
            raise KubernetesError(f"{method} {path}: no answer of the cluster's API: {error!r}") from error
        if not response.is_success:
            said = _said(bytes(answer))
            raise KubernetesError(f"{method} {path}: HTTP {response.status_code}: {said}", response.status_code)
        return bytes(answer)

    def _token(self) -> str:
        """Read the token anew: the cluster changes it every hour or so."""
        file = self._access.account / "token"
        try:
            with file.open("rb") as opened:
                token = opened.read(TOKEN_BYTES_MAX).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KubernetesError(f"{file} has no token: {error}") from error
        if not token.isprintable():
            raise KubernetesError(f"{file} has no token: it is no printable text")
        return token


def _trusted(access: ClusterAccess) -> ssl.SSLContext | bool:
    authority = access.account / "ca.crt"
    if not access.url.startswith("https:"):
        return True
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise KubernetesError(f"{authority} has no certificate: {error}") from error


def _object(answer: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KubernetesError(f"the cluster's API answered no JSON: {error}") from error
    if not isinstance(found, dict):
        raise KubernetesError("the cluster's API answered no object")
    return found


def _said(answer: bytes) -> str:
    """Return what a Status says, or the beginning of the answer."""
    try:
        found = _object(answer).get("message")
    except KubernetesError:
        found = None
    text = found if isinstance(found, str) else answer[:DETAIL_CHARACTERS_MAX].decode(errors="replace")
    return "".join(each if each.isprintable() else " " for each in text)[:DETAIL_CHARACTERS_MAX]
